"""QEMU's guest agent: a program inside a guest that answers over a channel."""
