"""Status files of running guests: what is private to QEMU's driver, and what older files lack."""

from __future__ import annotations

import pytest

from virt_qemu.capabilities.model import EmulatorCapabilities
from virt_qemu.private_data import DiskPrivate, SourcePrivate
from virt_qemu.rules import QemuRules
from virt_qemu.status import DomainStatus, StatusFolders, format_status, load_status, status_flags
from virtcore.errors import VirtError, XMLError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain

FOLDERS = StatusFolders(lib="/lib", channels="/channels", memory="/ram")

DOMAIN = """  <domain type='kvm' id='7'>
    <name>a-very-long-name-of-a-guest</name>
    <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
    <memory unit='KiB'>219136</memory>
    <os>
      <type arch='x86_64' machine='pc-i440fx-9.0'>hvm</type>
    </os>
    <devices>
      <emulator>/qemu</emulator>
      <disk type='network' device='disk'>
        <driver name='qemu' type='raw'/>
        <source protocol='nbd' name='x' tls='yes'>
          <host name='h'/>
          <encryption format='luks'>
            <secret type='passphrase' uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/>
          </encryption>
        </source>
        <target dev='vda' bus='virtio'/>
        <alias name='virtio-disk0'/>
        <privateData>
          <qom name='/q'/>
        </privateData>
      </disk>
      <interface type='user'>
        <mac address='52:54:00:e5:48:58'/>
        <model type='virtio'/>
        <privateData>
          <slirp pid='9'>
            <feature name='migrate'/>
          </slirp>
        </privateData>
      </interface>
    </devices>
  </domain>
"""


def load(text: str) -> DomainStatus:
    known = EmulatorCapabilities(
        binary="/qemu", arch=Arch.X86_64, version=0, package="", flags=frozenset(), accelerators={}
    )
    rules = QemuRules(lambda arch: None, lambda path: known)
    return load_status(text, rules, rules.context(status_flags(), arch=Arch.X86_64), FOLDERS)


def test_an_old_file_is_completed() -> None:
    job = "<job type='modify' async='migration out' phase='perform3'/>"
    status = load(f"<domstatus state='running' pid='5'>{job}{DOMAIN}</domstatus>")
    assert status.memory_folder == "/ram/7-a-very-long-name-of-"
    assert status.lib_folder == "/lib/domain-a-very-long-name-of-a-guest"
    text = format_status(status)
    assert "<job type='modify' async='migration out' phase='perform3' flags='0x0' asyncStarted='0'/>" in text
    assert "<nodename index='0'/>\n  <fdset index='0'/>\n  <blockjobs active='no'/>\n  <agentTimeout>-2<" in text
    again = format_status(load(text))
    assert again == text
    assert status.domain.devices is not None
    [disk] = status.domain.devices.disks
    private = disk.source.private_data if disk.source is not None else None
    assert isinstance(private, SourcePrivate)
    assert [(secret.type, secret.alias) for secret in private.secrets] == [("encryption", "virtio-disk0-luks-secret0")]
    assert private.tls == "objvirtio-disk0_tls0"
    assert disk.private_data == DiskPrivate(qom="/q")
    assert "<slirp pid='9'>\n            <feature name='migrate'/>" in text


def test_private_data_are_for_status_files_only() -> None:
    status = load(f"<domstatus state='running'>{DOMAIN}</domstatus>")
    assert "privateData" in format_status(status)
    assert "privateData" not in format_domain(status.domain)


@pytest.mark.parametrize(
    "text",
    [
        "<domstatus/>",
        f"<domstatus>{DOMAIN}</domstatus>",
        "<domstatus state='running'/>",
        f"<domstatus state='running'><blockjobs active='maybe'/>{DOMAIN}</domstatus>",
        f"<domstatus state='running'><blockjobs active='yes'><blockjob name='x'/></blockjobs>{DOMAIN}</domstatus>",
    ],
)
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(VirtError):
        load(text)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(XMLError, match="Missing required attribute 'state' in element 'domstatus'"):
        load("<domstatus/>")
