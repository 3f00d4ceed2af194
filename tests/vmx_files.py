"""Small VMX files and domains for the tests."""

from __future__ import annotations

from virt_esx.namespace import register
from virt_esx.rules import VMwareRules
from virt_esx.vmx import DatastoreFiles, VMXContext, read_vmx, write_vmx
from virtcore.model.domain.document import format_domain, load_domain

register()

ON_ESX = VMXContext(files=DatastoreFiles("store", "folder", {"/vmfs/volumes/4980-ab": "san"}))


def vmx(*lines: str, version: int = 8) -> str:
    head = ('config.version = "8"', f'virtualHW.version = "{version}"', 'displayName = "test"')
    return "\n".join((*head, *lines)) + "\n"


def to_xml(*lines: str, context: VMXContext = ON_ESX, version: int = 8) -> str:
    return format_domain(read_vmx(vmx(*lines, version=version), context))


def devices(*lines: str, context: VMXContext = ON_ESX, version: int = 8) -> str:
    """The devices of a file, without the card every machine has."""
    text = to_xml(*lines, context=context, version=version)
    inner = text.partition("  <devices>\n")[2].partition("    <video>")[0]
    return "".join(line.removeprefix("    ") for line in inner.splitlines(keepends=True))


def domain_xml(devices: str = "", *, rest: str = "", os: str = "", vcpu: str = "<vcpu>1</vcpu>") -> str:
    return f"""
<domain type='vmware'>
  <name>test</name>
  <uuid>564d9bef-acd9-b4e0-c8f0-aea8b9103515</uuid>
  <memory unit='MiB'>64</memory>
  {vcpu}
  <os><type arch='x86_64'>hvm</type>{os}</os>
  {rest}
  <devices>{devices}</devices>
</domain>"""


def written(xml: str, context: VMXContext = ON_ESX, version: int = 8) -> dict[str, str]:
    """The settings a domain is written to."""
    text = write_vmx(load_domain(xml, VMwareRules()), context, version)
    rows = (line.split(" = ", 1) for line in text.splitlines())
    return {name: value.strip('"') for name, value in rows}
