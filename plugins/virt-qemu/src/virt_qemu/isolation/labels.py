"""Security labels of model ``dac``: whom a guest and its files belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.isolation.identity import group_number, identity_of, user_number
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg
from virtcore.model.domain.seclabel import SecurityLabel, SecurityLabelType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtcore.model.domain import Domain
    from virtcore.model.storage.source import DeviceSeclabel
    from virtcore.runtime.launcher import Identity

__all__ = ["MODEL", "OwnLabel", "add_label", "check_models", "drop_label", "own_label", "parse_label", "resource_owner"]

MODEL = "dac"
"""Name of the security model."""


class OwnLabel(NamedTuple):
    """The label of one guest.

    :ivar identity: who runs it.
    :ivar relabel: its files are given to them.
    """

    identity: Identity
    relabel: bool


def parse_label(text: str) -> tuple[int, int]:
    """User and group of a label, ``USER:GROUP``.

    :raises InvalidArg: there is no such user or group.
    """
    user, separator, group = text.partition(":")
    if not separator or not user or not group:
        raise InvalidArg(f"Failed to parse uid and gid from '{text}'")
    return user_number(user), group_number(group)


def _label_of(labels: Sequence[SecurityLabel]) -> SecurityLabel | None:
    return next((label for label in labels if label.model == MODEL), None)


def add_label(domain: Domain, identity: Identity, *, confined: bool = True) -> bool:
    """Give a starting guest its label, where it does not bring one; returns whether this host had to.

    :param identity: who runs guests that say nothing.
    :param confined: such guests have a label.
    :raises VirtError: what it brings makes no sense.
    """
    label = _label_of(domain.seclabels)
    own = f"+{identity.uid}:+{identity.gid}"
    ours = label is None
    if label is None:
        if not confined or any(one.model is None and one.type is SecurityLabelType.NONE for one in domain.seclabels):
            return False
        label = SecurityLabel(type=SecurityLabelType.DYNAMIC, model=MODEL, relabel=True)
        domain.seclabels.append(label)
    if label.type is SecurityLabelType.STATIC:
        if label.label is None:
            raise InternalError(f"missing label for static security driver in domain {domain.name}")
        parse_label(label.label)
        if label.relabel:
            label.imagelabel = label.imagelabel or label.label
        return False
    if label.type is SecurityLabelType.NONE:
        return False
    if label.label is not None and label.imagelabel is None:
        raise InternalError("security label already defined for VM")
    label.type = SecurityLabelType.DYNAMIC
    label.relabel = True if label.relabel is None else label.relabel
    label.label = own
    label.imagelabel = own if label.relabel else None
    return ours


def drop_label(domain: Domain) -> None:
    """Take out what :func:`add_label` has added: every host gives its own."""
    domain.seclabels = [label for label in domain.seclabels if label.model != MODEL]


def check_models(domain: Domain, *, others: bool) -> None:
    """Whether a guest's labels are of a model that there is.

    :param others: guests run as another user, so there is model ``dac``.
    :raises ConfigUnsupported: they are not.
    """
    known = ("none", MODEL) if others else ("none",)
    for label in domain.seclabels:
        if label.model is not None and label.model not in known:
            raise ConfigUnsupported(f"Unable to find security driver for model {label.model}")


def own_label(domain: Domain, default: Identity | None) -> OwnLabel | None:
    """The label under which a guest runs; None: as we do.

    :param default: who runs guests that have no label.
    :raises InvalidArg: there is no such user or group.
    """
    if default is None:
        return None
    label = _label_of(domain.seclabels)
    if label is None or label.label is None:
        return OwnLabel(default, label is None or label.relabel is not False)
    return OwnLabel(identity_of(*parse_label(label.label)), label.relabel is not False)


def resource_owner(own: OwnLabel, labels: Sequence[DeviceSeclabel]) -> tuple[int, int] | None:
    """Whom one of the guest's files is given to; None: nobody.

    :param labels: those of the file itself, which come before the guest's.
    :raises InvalidArg: there is no such user or group.
    """
    label = next((one for one in labels if one.model in (MODEL, None)), None)
    if label is not None:
        if label.relabel is False:
            return None
        if label.label is not None:
            if label.model is None:
                raise ConfigUnsupported("a label of a disk needs a model")
            return parse_label(label.label)
    if not own.relabel:
        return None
    return own.identity.uid, own.identity.gid
