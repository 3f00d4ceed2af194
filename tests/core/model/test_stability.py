"""What of a guest may not change behind its back, in libvirt's words."""

from __future__ import annotations

import pytest

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain import Domain
from virtcore.model.domain.stability import check_stability
from virtcore.xml import parse

CPU = "<cpu><topology sockets='2' cores='2' threads='1'/><feature policy='require' name='vmx'/></cpu>"
PCI = "<address type='pci' domain='0' bus='0' slot='5' function='0'/>"
USB = "type='usb'><source><address bus='1' device='2'/>"
GUEST = f"""
<domain type='kvm'>
  <name>guest</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <memory>1024</memory>
  <vcpu current='2'>4</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  {CPU}
  <devices>
    <disk type='file' device='disk'>
      <source file='/one'/>
      <target dev='sda' bus='scsi'/>
      <wwn>5000c50015ea71ac</wwn>
      <address type='drive' controller='0' bus='0' target='3' unit='1'/>
    </disk>
    <controller type='scsi' index='0'>{PCI}</controller>
    <filesystem type='mount'><source dir='/here'/><target dir='there'/></filesystem>
    <hostdev mode='subsystem' {USB}</source></hostdev>
    <channel type='null'><target type='virtio' name='org.one'/></channel>
    <video><model type='vga' vram='16384' heads='1'/></video>
    <tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>
    <memory model='dimm'>
      <target><size>1024</size><node>0</node></target>
      <address type='dimm' slot='0' base='0x100000'/>
    </memory>
    <rng model='virtio'><backend model='random'>/dev/random</backend></rng>
    <panic model='isa'><address type='isa' iobase='0x505'/></panic>
  </devices>
</domain>
"""


def load(text: str) -> Domain:
    return parse(text, Domain)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<name>guest", "<name>other", "Target domain name 'other' does not match source 'guest'"),
        ("machine='pc'", "machine='q35'", "Target domain machine type q35 does not match source pc"),
        ("current='2'", "current='3'", "State of vCPU '2' differs between source and destination definitions"),
        ("current='2'", "current='1'", "State of vCPU '1' differs between source and destination definitions"),
        ("<acpi/>", "<pae/>", "State of feature 'acpi' differs: source: 'on', destination: 'off'"),
        ("5000c5", "5000c6", "Target disk wwn '5000c60015ea71ac' does not match source '5000c50015ea71ac'"),
        ("<wwn>", "<readonly/><wwn>", "Target disk access mode does not match source"),
        ("unit='1'", "unit='2'", "Target device drive address 0:0:2 does not match source 0:0:1"),
        ("slot='5'", "slot='6'", "Target device PCI address 0000:00:06.0 does not match source 0000:00:05.0"),
        (PCI, "", "Target device address type none does not match source pci"),
        ("dir='there'", "dir='then'", "Target filesystem guest target then does not match source there"),
        (USB, "type='pci'><source><address slot='2'/>", "Target host device subsystem pci does not match source usb"),
        ("slot='0' base", "slot='1' base", "Target device dimm slot 1 does not match source 0"),
        ("0x100000", "0x200000", "Target device dimm base address '200000' does not match source '100000'"),
        ("<size>1024", "<size>2048", "Target memory device size '2048' doesn't match source memory device size '1024'"),
        (CPU, "", "Target CPU does not match source"),
        ("policy='require'", "policy='force'", "Target CPU feature policy force does not match source require"),
        ("policy='require' name='vmx'", "name='svm'", "Target CPU feature svm does not match source vmx"),
        ("cores='2'", "cores='1'", "Target CPU cores 1 does not match source 2"),
        ("name='org.one'", "name='org.two'", "Target channel name org.two does not match source org.one"),
        (
            "type='virtio' name='org.one'",
            "type='guestfwd' address='10.0.2.1' port='80'",
            "Target channel type guestfwd does not match source virtio",
        ),
        ("version='2.0'", "version='1.2'", "Target TPM version doesn't match source"),
        ("vram='16384'", "vram='8192'", "Target video card vram 8192 does not match source 16384"),
        ("0x505", "0x506", "Target device isa address 1286:0 does not match source 1285:0"),
        (
            "rng model='virtio'",
            "rng model='virtio-transitional'",
            "Target RNG model 'virtio-transitional' does not match source 'virtio'",
        ),
        ("panic model='isa'", "panic model='pvpanic'", "Target panic model 'pvpanic' does not match source 'isa'"),
    ],
)
def test_what_the_guest_would_see_is_refused(old: str, new: str, message: str) -> None:
    changed = GUEST.replace(old, new)
    assert changed != GUEST
    with pytest.raises(ConfigUnsupported) as refused:
        check_stability(load(GUEST), load(changed))
    assert refused.value.detail == message


@pytest.mark.parametrize(("old", "new"), [("/one", "/two"), ("target='3'", "target='4'"), ("/here", "/elsewhere")])
def test_what_libvirt_does_not_look_at_may_change(old: str, new: str) -> None:
    check_stability(load(GUEST), load(GUEST.replace(old, new)))
