"""What the generic stages refuse: libvirt's message to the letter, and the place."""

from __future__ import annotations

import pytest

from domain_documents import document, load
from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.domain import DomainRules, ParseFlag

HVM = "<os><type arch='x86_64'>hvm</type>{}</os>"
DISK = "<devices><disk type='file'><source file='/d'/><target dev='{}' bus='{}'/></disk></devices>"


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        # the root
        (
            "<domain><name>a</name></domain>",
            "internal error: missing domain type attribute",
            "/domain/@type",
        ),
        (document(type="magic"), "unsupported configuration: invalid domain type magic", "/domain/@type"),
        (document(os="<os/>"), "XML error: an os <type> must be specified", "/domain/os/type"),
        (
            document(os="<os><type arch='z80'>hvm</type></os>"),
            "unsupported configuration: Unknown architecture z80",
            "/domain/os/type/@arch",
        ),
        (document(uuid="<uuid>x</uuid>"), "internal error: malformed uuid element", "/domain/uuid"),
        (document("<title>a\nb</title>"), "XML error: Domain title can't contain newlines", "/domain/title"),
        (document(name="<name>a/b</name>"), "XML error: name a/b cannot contain '/'", "/domain/name"),
        (document(os="<os><type>exe</type></os>"), "XML error: init binary must be specified", "/domain/os/init"),
        # memory
        (
            document(memory=""),
            "XML error: Memory size must be specified via <memory> or in the <numa> configuration",
            "/domain/memory",
        ),
        (
            document(memory="<memory unit='mile'>1</memory>"),
            "invalid argument: unknown suffix 'mile'",
            "/domain/memory",
        ),
        (
            document("<maxMemory slots='1'>1</maxMemory>"),
            "XML error: maximum memory size must be equal or greater than the actual memory size",
            "/domain/maxMemory",
        ),
        (
            document("<memoryBacking><hugepages><page size='2'/><page size='4'/></hugepages></memoryBacking>"),
            None,
            "/domain/memoryBacking/hugepages/page",
        ),
        (
            document("<memoryBacking><source type='paper'/></memoryBacking>"),
            "unsupported configuration: unknown memoryBacking/source/type 'paper'",
            "/domain/memoryBacking/source/@type",
        ),
        # vCPUs and threads
        (
            document(vcpu="<vcpu>many</vcpu>"),
            "XML error: maximum vcpus count must be an integer",
            "/domain/vcpu",
        ),
        (
            document(vcpu="<vcpu current='5'>4</vcpu>"),
            "unsupported configuration: maximum vCPU count must not be less than current vCPU count",
            "/domain/vcpu/@current",
        ),
        (
            document("<cputune><emulatorpin cpuset='1,^1'/></cputune>"),
            "unsupported configuration: Invalid value of 'cpuset': 1,^1",
            "/domain/cputune/emulatorpin",
        ),
        (
            document("<cputune><vcpupin vcpu='0' cpuset='a'/></cputune>"),
            "invalid argument: Failed to parse bitmap 'a'",
            "/domain/cputune/vcpupin/@cpuset",
        ),
        (
            document("<cputune><vcpupin vcpu='0'/></cputune>"),
            "internal error: missing cpuset for vcpupin",
            "/domain/cputune/vcpupin/@cpuset",
        ),
        (
            document("<cputune><emulatorsched scheduler='fifo'/></cputune>"),
            "XML error: Missing required attribute 'priority' in element 'emulatorsched'",
            "/domain/cputune/emulatorsched/@priority",
        ),
        (
            document("<cputune><period>1</period></cputune>"),
            "unsupported configuration: Value of cputune 'period' must be in range [1000, 1000000]",
            "/domain/cputune/period",
        ),
        (
            document("<cputune><iothreadpin iothread='2' cpuset='1'/></cputune>"),
            "unsupported configuration: Cannot find 'iothread' : 2",
            "/domain/cputune/iothreadpin/@iothread",
        ),
        (
            document(
                "<cputune><vcpusched vcpus='0-1' scheduler='rr' priority='1'/>"
                "<vcpusched vcpus='1' scheduler='batch'/></cputune>"
            ),
            None,
            "/domain/cputune/vcpusched/@vcpus",
        ),
        (
            document(
                "<cputune><cachetune vcpus='0-1'><cache id='0' level='3' type='both' size='3'/>"
                "<cache id='0' level='3' type='code' size='3'/></cachetune></cputune>"
            ),
            "XML error: Colliding cache allocations for cache level '3' id '0', type 'code'",
            "/domain/cputune/cachetune/cache",
        ),
        (
            document(
                "<cputune><memorytune vcpus='0-1'><node id='0' bandwidth='1'/></memorytune>"
                "<memorytune vcpus='1-2'><node id='0' bandwidth='1'/></memorytune></cputune>"
            ),
            "XML error: Overlapping vcpus in resctrls",
            "/domain/cputune",
        ),
        # the processor
        (
            document("<cpu mode='best'/>"),
            "unsupported configuration: Invalid mode attribute 'best'",
            "/domain/cpu/@mode",
        ),
        (
            document("<cpu check='full'/>"),
            "unsupported configuration: check attribute specified for CPU with no model",
            "/domain/cpu/@check",
        ),
        (
            document("<cpu><feature name='vmx'/></cpu>"),
            "XML error: Non-empty feature list specified without CPU model",
            "/domain/cpu/feature",
        ),
        (
            document("<cpu mode='host-model'><feature name='vmx'/><feature name='vmx'/></cpu>"),
            "XML error: CPU feature 'vmx' specified more than once",
            "/domain/cpu/feature/@name",
        ),
        (
            document("<cpu mode='host-model'><model vendor_id='short'/></cpu>"),
            "XML error: vendor_id must be exactly 12 characters long",
            "/domain/cpu/model/@vendor_id",
        ),
        (
            document("<cpu><topology sockets='0' cores='1' threads='1'/></cpu>"),
            "XML error: Invalid value for attribute 'sockets' in element 'topology': Zero is not permitted",
            "/domain/cpu/topology/@sockets",
        ),
        (
            document("<cpu><numa><cell cpus='0-9' memory='1'/></numa></cpu>"),
            "internal error: Number of CPUs in <numa> exceeds the <vcpu> count",
            "/domain/cpu/numa",
        ),
        (
            document("<numatune><memory mode='strict'/></numatune>"),
            "unsupported configuration: nodeset for NUMA memory tuning must be set if 'placement' is 'static'",
            "/domain/numatune/memory",
        ),
        # features, clock
        (
            document("<clock offset='utc' adjustment='soon'/>"),
            "XML error: unknown clock adjustment 'soon'",
            "/domain/clock/@adjustment",
        ),
        (
            document(vcpu="<vcpu>0</vcpu>"),
            "internal error: CPU IDs in <numa> exceed the <vcpu> count",
            "/domain/vcpu",
        ),
        (document(vcpu="<vcpu/>"), "XML error: maximum vcpus count must be an integer", "/domain/vcpu"),
        (
            document("<sysinfo/>"),
            "XML error: Missing required attribute 'type' in element 'sysinfo'",
            "/domain/sysinfo",
        ),
        (
            document("<launchSecurity type='tin'/>"),
            "XML error: Invalid value for attribute 'type' in element 'launchSecurity': 'tin'.",
            "/domain/launchSecurity/@type",
        ),
        (
            document("<features><warp/></features>"),
            "unsupported configuration: unexpected feature 'warp'",
            "/domain/features/warp",
        ),
        (
            document("<features><kvm><dirty-ring state='on' size='1000'/></kvm></features>"),
            "XML error: dirty ring must be power of 2 and ranges [1024, 65536]",
            "/domain/features/kvm/dirty-ring/@size",
        ),
        (
            document("<features><hyperv><spinlocks state='on' retries='9'/></hyperv></features>"),
            "XML error: HyperV spinlock retry count must be at least 4095",
            "/domain/features/hyperv/spinlocks/@retries",
        ),
        (
            document("<features><htm/></features>"),
            "XML error: Missing required attribute 'state' in element 'htm'",
            "/domain/features/htm/@state",
        ),
        (
            document("<clock offset='timezone'/>"),
            "internal error: missing 'timezone' attribute for clock with offset='timezone'",
            "/domain/clock/@timezone",
        ),
        (
            document("<clock><timer name='pit' frequency='3'/></clock>"),
            "unsupported configuration: timer pit doesn't support setting of timer frequency",
            "/domain/clock/timer/@frequency",
        ),
        (
            document("<on_poweroff>coredump-destroy</on_poweroff>"),
            "unsupported configuration: Lifecycle event 'poweroff' doesn't support 'coredump-destroy' action",
            "/domain/on_poweroff",
        ),
        (
            document("<on_crash>shrug</on_crash>"),
            "unsupported configuration: unknown on_crash action: shrug",
            "/domain/on_crash",
        ),
        # boot
        (
            document(os=HVM.format("<loader format='vdi'>/f</loader>")),
            "XML error: Unsupported loader format 'vdi'",
            "/domain/os",
        ),
        (document(os=HVM.format("<shim>/s</shim><loader>/l</loader>")), None, "/domain/os/shim"),
        (
            document("<devices/>", os="<os firmware='efi'><type>hvm</type></os>").replace("efi", "coreboot"),
            "XML error: unknown firmware value coreboot",
            "/domain/os/@firmware",
        ),
        (
            document(os=HVM.format("<bios rebootTimeout='70000'/>")),
            "unsupported configuration: invalid value for rebootTimeout, must be in range [-1,65535]",
            "/domain/os/bios/@rebootTimeout",
        ),
        # labels and keys
        (
            document("<seclabel type='dynamic' relabel='no'/>"),
            "unsupported configuration: dynamic label type must use resource relabeling",
            "/domain/seclabel/@relabel",
        ),
        (
            document("<seclabel type='static' model='dac'/>"),
            "XML error: security label is missing",
            "/domain/seclabel/label",
        ),
        (
            document("<launchSecurity type='sev'/>"),
            "XML error: failed to get launch security policy",
            "/domain/launchSecurity",
        ),
        (
            document("<launchSecurity type='sev-snp'><policy>1</policy><idBlock>AAAA</idBlock></launchSecurity>"),
            "unsupported configuration: Unexpected length of 'idBlock', expected 96 got 3",
            "/domain/launchSecurity/idBlock",
        ),
        (
            document("<idmap><uid start='0' target='1' count='1'/></idmap>"),
            "unsupported configuration: uid and gid should be mapped both",
            "/domain/idmap",
        ),
        (
            document("<resource/><resource/>"),
            "XML error: only one resource element is supported",
            "/domain/resource[2]",
        ),
        # devices
        (
            document(DISK.format("vda", "virtio"), DISK.format("vda", "virtio")).replace("</devices><devices>", ""),
            "XML error: target 'vda' duplicated for disk sources '/d' and '/d'",
            "/domain/devices/disk/target/@dev",
        ),
        (
            document(DISK.format("fda", "virtio")),
            "internal error: Invalid harddisk device name: fda",
            "/domain/devices/disk/target/@dev",
        ),
        (
            document("<devices><memory model='dimm'><target><size>9999999</size></target></memory></devices>"),
            "XML error: Total size of memory devices exceeds the total memory size",
            "/domain/memory",
        ),
        (
            document("<devices><input type='tablet' bus='ps2'/></devices>"),
            "internal error: ps2 bus does not support tablet input device",
            "/domain/devices/input/@type",
        ),
        (
            document("<devices><iommu model='intel'><driver eim='on'/></iommu></devices>"),
            "unsupported configuration: IOMMU eim requires interrupt remapping to be enabled",
            "/domain/devices/iommu/driver/@eim",
        ),
    ],
)
def test_refused(given: str, message: str | None, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(given)
    if message is not None:
        assert str(caught.value) == message
    assert caught.value.path == path


def test_no_name() -> None:
    with pytest.raises(VirtError, match="missing name information"):
        load(document(name=""))


def test_a_plain_driver_refuses_what_it_cannot_do() -> None:
    for part, message in (
        ("<maxMemory slots='2'>4194304</maxMemory>", "memory hotplug tunables <maxMemory> are not supported"),
        ("<vcpus><vcpu id='0' enabled='yes'/></vcpus>", "individual CPU state configuration is not supported"),
    ):
        with pytest.raises(VirtError, match=message):
            load(document(part), rules=DomainRules())


def test_validation_can_be_left_out() -> None:
    given = document("<cputune><period>1</period></cputune>")
    domain = load(given, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)
    assert domain.cputune is not None
    assert domain.cputune.period == 1


def test_the_stage_is_noted() -> None:
    with pytest.raises(VirtError) as caught:
        load(document("<cputune><period>1</period></cputune>"))
    assert "in stage cputune" in caught.value.__notes__
    assert caught.value.domain is ErrorDomain.DOMAIN


def test_further_checks_run_last() -> None:
    from domain_documents import CapableRules

    seen: list[str] = []
    rules = CapableRules(checks=[lambda domain, context: seen.append(domain.name)])
    load(document(), rules=rules)
    assert seen == ["guest"]
