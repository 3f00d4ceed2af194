"""What generic completion makes of small domain documents, as far as it shows in the output."""

from __future__ import annotations

import re

import pytest

from domain_documents import document, load
from virtcore.model.domain import DomainRules, OSType, ParseFlag, format_domain
from virtcore.model.domain.cputune import CPUPlacement
from virtcore.model.paths import sanitize_path


def lines(text: str, element: str) -> list[str]:
    """An element of the output, line by line."""
    found = re.search(rf"^ *<{element}\b(?:[^>]*/>|.*?</{element}>)", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for line in found.group().splitlines()] if found is not None else []


def test_the_least_domain() -> None:
    text = format_domain(
        load("<domain type='test'><name>a</name><memory>1024</memory><os><type>hvm</type></os></domain>")
    )
    uuid = re.search("<uuid>(.*)</uuid>", text)
    assert uuid is not None
    assert (
        text
        == f"""<domain type='test'>
  <name>a</name>
  <uuid>{uuid[1]}</uuid>
  <memory unit='KiB'>1024</memory>
  <currentMemory unit='KiB'>1024</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64'>hvm</type>
    <boot dev='hd'/>
  </os>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
  </devices>
</domain>
"""
    )


@pytest.mark.parametrize(
    ("given", "element", "expected"),
    [
        # sizes
        (document(memory="<memory unit='GB'>1</memory>"), "memory", ["<memory unit='KiB'>976563</memory>"]),
        (
            document("<currentMemory unit='TiB'>1</currentMemory>"),
            "currentMemory",
            ["<currentMemory unit='KiB'>1048576</currentMemory>"],
        ),
        (
            document("<memtune><hard_limit unit='MiB'>2</hard_limit><min_guarantee>0</min_guarantee></memtune>"),
            "memtune",
            ["<memtune>", "<hard_limit unit='KiB'>2048</hard_limit>", "</memtune>"],
        ),
        (document("<memtune><hard_limit>9007199254740991</hard_limit></memtune>"), "memtune", []),
        # vCPUs
        (document(vcpu="<vcpu current='4'>4</vcpu>"), "vcpu", ["<vcpu placement='static'>4</vcpu>"]),
        (document(vcpu="<vcpu current='2'>4</vcpu>"), "vcpu", ["<vcpu placement='static' current='2'>4</vcpu>"]),
        (
            document("<vcpus><vcpu id='1' enabled='no'/><vcpu id='0' enabled='yes'/></vcpus>", vcpu="<vcpu>2</vcpu>"),
            "vcpus",
            [
                "<vcpus>",
                "<vcpu id='0' enabled='yes' hotpluggable='no'/>",
                "<vcpu id='1' enabled='no' hotpluggable='yes'/>",
                "</vcpus>",
            ],
        ),
        (
            document("<vcpus><vcpu id='0' enabled='yes'/></vcpus>", vcpu="<vcpu current='9'>2</vcpu>"),
            "vcpu",
            ["<vcpu placement='static' current='1'>2</vcpu>"],
        ),
        # threads and their tuning
        (
            document("<iothreads>3</iothreads><iothreadids><iothread id='2'/></iothreadids>"),
            "iothreadids",
            ["<iothreadids>", "<iothread id='2'/>", "<iothread id='1'/>", "<iothread id='3'/>", "</iothreadids>"],
        ),
        (
            document(
                "<iothreads>2</iothreads><cputune><iothreadpin iothread='2' cpuset='1'/><vcpupin vcpu='9' cpuset='1'/>"
                "<vcpupin vcpu='1' cpuset='0-3,^2'/><vcpupin vcpu='0' cpuset='1'/>"
                "<vcpusched vcpus='1-2' scheduler='fifo' priority='3'/><emulatorsched scheduler='idle' priority='4'/>"
                "<shares>0</shares><period>0</period></cputune>"
            ),
            "cputune",
            [
                "<cputune>",
                "<shares>0</shares>",
                "<vcpupin vcpu='0' cpuset='1'/>",
                "<vcpupin vcpu='1' cpuset='0-1,3'/>",
                "<iothreadpin iothread='2' cpuset='1'/>",
                "<emulatorsched scheduler='idle'/>",
                "<vcpusched vcpus='1' scheduler='fifo' priority='3'/>",
                "<vcpusched vcpus='2' scheduler='fifo' priority='3'/>",
                "</cputune>",
            ],
        ),
        (
            document(
                "<cputune><cachetune vcpus='0-7'><cache id='1' level='3' type='data' size='1' unit='MiB'/>"
                "<cache id='0' level='3' type='both' size='1537' unit='KiB'/></cachetune>"
                "<memorytune vcpus='0-3'><node id='1' bandwidth='20'/><node id='0' bandwidth='60'/></memorytune>"
                "<cachetune vcpus='8'><cache id='0' level='3' type='both' size='1'/></cachetune></cputune>"
            ),
            "cputune",
            [
                "<cputune>",
                "<cachetune vcpus='0-3'>",
                "<cache id='0' level='3' type='both' size='1537' unit='KiB'/>",
                "<cache id='1' level='3' type='data' size='1' unit='MiB'/>",
                "</cachetune>",
                "<memorytune vcpus='0-3'>",
                "<node id='0' bandwidth='60'/>",
                "<node id='1' bandwidth='20'/>",
                "</memorytune>",
                "</cputune>",
            ],
        ),
        # NUMA
        (
            document("<numatune><memory nodeset='0-1'/></numatune>"),
            "numatune",
            ["<numatune>", "<memory mode='strict' nodeset='0-1'/>", "</numatune>"],
        ),
        (
            document(vcpu="<vcpu placement='auto'>2</vcpu>"),
            "numatune",
            ["<numatune>", "<memory mode='strict' placement='auto'/>", "</numatune>"],
        ),
        (
            document(
                "<cpu><numa><cell id='1' cpus='2-3' memory='512' unit='MiB'/><cell id='0' cpus='0-1' memory='524288'>"
                "<distances><sibling id='1' value='21'/></distances></cell></numa></cpu>"
            ),
            "numa",
            [
                "<numa>",
                "<cell id='0' cpus='0-1' memory='524288' unit='KiB'>",
                "<distances>",
                "<sibling id='0' value='10'/>",
                "<sibling id='1' value='21'/>",
                "</distances>",
                "</cell>",
                "<cell id='1' cpus='2-3' memory='524288' unit='KiB'>",
                "<distances>",
                "<sibling id='0' value='21'/>",
                "<sibling id='1' value='10'/>",
                "</distances>",
                "</cell>",
                "</numa>",
            ],
        ),
        # the processor
        (
            document("<cpu><model>Haswell</model><feature name='vmx'/></cpu>"),
            "cpu",
            [
                "<cpu mode='custom' match='exact'>",
                "<model fallback='allow'>Haswell</model>",
                "<feature policy='require' name='vmx'/>",
                "</cpu>",
            ],
        ),
        (
            document("<cpu mode='host-passthrough' migratable='off'><model>Haswell</model></cpu>"),
            "cpu",
            ["<cpu mode='host-passthrough' migratable='off'/>"],
        ),
        (
            document("<cpu mode='custom' match='strict'><topology sockets='1' cores='2' threads='2'/></cpu>"),
            "cpu",
            ["<cpu>", "<topology sockets='1' dies='1' clusters='1' cores='2' threads='2'/>", "</cpu>"],
        ),
        (document("<cpu/>"), "cpu", []),
        # features
        (
            document(
                "<features><vmport state='off'/><smm><tseg>8</tseg></smm><acpi/><pmu/><apic/><kvm/><vmport state='on'/>"
                "<hyperv><spinlocks state='on' retries='0x1fff'/><relaxed state='off'/></hyperv></features>"
            ),
            "features",
            [
                "<features>",
                "<acpi/>",
                "<apic/>",
                "<hyperv mode='custom'>",
                "<relaxed state='off'/>",
                "<spinlocks state='on' retries='8191'/>",
                "</hyperv>",
                "<kvm>",
                "</kvm>",
                "<pmu state='on'/>",
                "<vmport state='on'/>",
                "<smm state='on'>",
                "<tseg unit='MiB'>8</tseg>",
                "</smm>",
                "</features>",
            ],
        ),
        (
            document("<features><capabilities><mknod/></capabilities></features>"),
            "features",
            ["<features>", "<capabilities policy='default'>", "<mknod state='on'/>", "</capabilities>", "</features>"],
        ),
        # clock
        (
            document("<clock offset='localtime' adjustment='-60'/>"),
            "clock",
            ["<clock offset='variable' adjustment='-60' basis='localtime'/>"],
        ),
        (
            document("<clock offset='utc' adjustment='reset' basis='utc' timezone='UTC'/>"),
            "clock",
            ["<clock offset='utc' adjustment='reset'/>"],
        ),
        (
            document("<clock offset='variable' adjustment='soon' adjustment0='9'/>"),
            "clock",
            ["<clock offset='variable' adjustment='0' basis='utc'/>"],
        ),
        # boot
        (
            document(os="<os><type arch='x86_64'>hvm</type><bios useserial='perhaps'/></os>"),
            "bios",
            ["<bios useserial='no'/>"],
        ),
        (
            document(
                os="<os><type arch='x86_64'>hvm</type><loader>/fw</loader><bootmenu enable='no' timeout='3'/></os>"
            ),
            "os",
            [
                "<os>",
                "<type arch='x86_64'>hvm</type>",
                "<loader type='rom'>/fw</loader>",
                "<boot dev='hd'/>",
                "<bootmenu enable='no'/>",
                "</os>",
            ],
        ),
        (
            document(os="<os><type arch='x86_64'>exe</type><init>/i</init><kernel>/k</kernel></os>", type="lxc"),
            "os",
            ["<os>", "<type arch='x86_64'>exe</type>", "<init>/i</init>", "</os>"],
        ),
        (
            document("<bootloader>/pygrub</bootloader>", os="", type="xen"),
            "os",
            ["<os>", "<type arch='x86_64'>linux</type>", "</os>"],
        ),
        # labels, sysinfo, the rest
        (document("<seclabel type='none'/>"), "seclabel", ["<seclabel type='none'/>"]),
        (
            document("<seclabel model='dac'><label>x</label></seclabel>"),
            "seclabel",
            ["<seclabel type='dynamic' model='dac' relabel='yes'/>"],
        ),
        (
            document(
                "<sysinfo type='smbios'><system><entry name='family'>f</entry><entry name='sku'>s</entry></system>"
                "<bios><entry name='colour'>blue</entry></bios></sysinfo>"
            ),
            "sysinfo",
            [
                "<sysinfo type='smbios'>",
                "<system>",
                "<entry name='sku'>s</entry>",
                "<entry name='family'>f</entry>",
                "</system>",
                "</sysinfo>",
            ],
        ),
        (
            document("<metadata><a xmlns='urn:a'/><b/><c xmlns='urn:a'/></metadata>"),
            "metadata",
            ["<metadata>", '<a xmlns="urn:a"/>', "</metadata>"],
        ),
        (document("<metadata> </metadata>"), "metadata", []),
        (
            document("<blkiotune><device><path>/dev/sda</path></device><weight>heavy</weight></blkiotune>"),
            "blkiotune",
            [],
        ),
    ],
)
def test_completed(given: str, element: str, expected: list[str]) -> None:
    text = format_domain(load(given))
    assert lines(text, element) == expected
    # What libvirt printed it reads again, to the same effect.
    assert format_domain(load(text)) == text


def test_runtime_state_is_dropped_from_definitions() -> None:
    running = document().replace("<domain ", "<domain id='3' ")
    assert load(running).id is None
    domain = load(running, ParseFlag.NONE)
    assert domain.id == 3
    assert format_domain(domain).startswith("<domain type='kvm' id='3'>")


def test_generated_uuid_follows_sysinfo() -> None:
    system = "<sysinfo type='smbios'><system><entry name='uuid'>{}</entry></system></sysinfo>"
    uuid = "11111111-2222-3333-4444-555555555555"
    assert load(document(system.format(uuid.upper()), uuid="")).uuid == uuid


def test_generation_id_is_made_once() -> None:
    domain = load(document("<genid/>"))
    assert domain.genid is not None
    first = domain.genid.uuid
    assert first is not None
    again = load(format_domain(domain))
    assert again.genid is not None
    assert again.genid.uuid == first


def test_memory_from_cells_when_defining() -> None:
    cells = "<cpu><numa><cell cpus='0-3' memory='2' unit='GiB'/></numa></cpu>"
    assert load(document(cells, memory="")).memory_total == 2 << 20
    assert load(document(cells)).memory_total == 1 << 20
    assert load(document(cells), ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE).memory_total == 2 << 20


def test_automatic_placement_spreads() -> None:
    tune = "<numatune><memory placement='auto'/></numatune>"
    domain = load(document(tune))
    assert domain.vcpu is not None
    assert domain.vcpu.placement is CPUPlacement.AUTO
    pinned = load(document(tune, "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"))
    assert pinned.vcpu is not None
    assert pinned.vcpu.placement is CPUPlacement.STATIC


def test_paravirtual_xen_is_written_linux() -> None:
    assert load(document(os="<os><type arch='x86_64'>xen</type></os>", type="xen")).os_type is OSType.LINUX
    assert load(document(os="<os><type arch='x86_64'>xen</type></os>", type="test")).os_type is OSType.XEN


def test_offline_pins_go_where_a_driver_cannot_keep_them() -> None:
    tune = "<cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='3' cpuset='1'/></cputune>"
    given = document(tune, vcpu="<vcpu current='2'>4</vcpu>")
    capable, plain = load(given), load(given, rules=DomainRules())
    assert capable.cputune is not None
    assert plain.cputune is not None
    assert [pin.vcpu for pin in capable.cputune.vcpupins] == [0, 3]
    assert [pin.vcpu for pin in plain.cputune.vcpupins] == [0]


def test_unknown_content_is_dropped() -> None:
    text = format_domain(load(document("<colour>blue</colour>", "<cpu><model shade='dark'>Haswell</model></cpu>")))
    assert "colour" not in text
    assert "shade" not in text


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("", ""),
        ("/", "/"),
        ("//", "//"),
        ("///", "/"),
        ("/foo///bar/", "/foo/bar"),
        ("//foo//bar//", "//foo/bar"),
        ("/../foo", "/../foo"),
        ("gluster://host//volume", "gluster://host//volume"),
        ("/a://b//c", "/a:/b/c"),
    ],
)
def test_sanitized_paths(path: str, clean: str) -> None:
    assert sanitize_path(path) == clean
