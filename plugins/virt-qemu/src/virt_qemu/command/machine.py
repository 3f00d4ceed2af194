"""The machine itself: name, type, accelerator, processors, memory, clock, boot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from virt_qemu.command.audio import speaker_audio
from virt_qemu.command.firmware import flash_words
from virt_qemu.command.line import Builder, escape, on_off
from virt_qemu.command.memory import default_ram
from virt_qemu.command.numa import has_hmat
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUMode
from virtcore.model.domain.clock import ClockBasis, ClockOffset, TickPolicy, TimerName, TimerTrack
from virtcore.model.domain.iommu import IOMMUModel
from virtcore.model.domain.memory_device import NVDIMM, SGXEPC

__all__ = [
    "add_accelerator",
    "add_boot",
    "add_clock",
    "add_machine",
    "add_name",
    "add_power",
    "add_processors",
    "add_start",
]

#: Whose machines have ARM's interrupt controller.
_ARM = (Arch.AARCH64, Arch.ARMV7L)
_TRACKS = {TimerTrack.GUEST: "vm", TimerTrack.WALL: "host", TimerTrack.REALTIME: "rt"}


def add_name(builder: Builder) -> None:
    """The guest's name, for the host's lists of processes."""
    name = escape(builder.domain.name)
    process = f",process=qemu:{name}" if builder.host.process_name else ""
    builder.add("-name", f"guest={name}{process},debug-threads=on")


def add_start(builder: Builder) -> None:
    """That it waits to be let run, and its key for secrets."""
    builder.add("-S")
    if builder.master_key:
        builder.object(
            {
                "qom-type": "secret",
                "id": "masterKey0",
                "format": "raw",
                "file": f"{builder.state_folder}/master-key.aes",
            }
        )


def _state(feature: object) -> bool | None:
    """Value of a feature element: on when it is there and says nothing."""
    if feature is None:
        return None
    state: bool | None = getattr(feature, "state", None)
    return True if state is None else state


def add_machine(builder: Builder) -> None:
    """Machine type and what is set on it."""
    domain, capabilities = builder.domain, builder.capabilities
    features, os = domain.features, domain.os
    assert domain.machine is not None
    assert os is not None
    words = [domain.machine, "usb=off"]

    def switch(name: str, value: bool | None) -> None:
        if value is not None:
            words.append(f"{name}={on_off(value)}")

    if features is not None:
        switch("vmport", _state(features.vmport))
        switch("smm", _state(features.smm))
    if domain.keywrap is not None and domain.keywrap.ciphers and not Machine.of(domain).s390:
        raise ConfigUnsupported("'aes-key-wrap'/'dea-key-wrap' is not available on this architecture")
    for cipher in domain.keywrap.ciphers if domain.keywrap is not None else ():
        switch(f"{cipher.name}-key-wrap", cipher.state)
    if features is not None:
        gic = features.gic.version if features.gic is not None else None
        # 32 bit boards have version 2 and no option for it.
        if gic is not None and domain.arch in _ARM and not (domain.arch is not Arch.AARCH64 and gic == "2"):
            words.append(f"gic-version={gic}")
        if features.ioapic is not None and features.ioapic.driver is not None:
            words.append(f"kernel_irqchip={'split' if features.ioapic.driver == 'qemu' else 'on'}")
        switch("i8042", _state(features.ps2))
        switch("ras", _state(features.ras))
        if features.aia is not None and features.aia.value is not None:
            words.append(f"aia={features.aia.value}")
    iommu = domain.devices.iommu if domain.devices is not None else None
    if iommu is not None and iommu.model is IOMMUModel.SMMUV3:
        words.append("iommu=smmuv3")
    memory = domain.memory
    wanted = memory.dump_core if memory is not None else None
    switch("dump-guest-core", builder.host.dump_guest_core if wanted is None else wanted)
    if domain.memory_backing is not None and domain.memory_backing.nosharepages:
        words.append("mem-merge=off")
    modules = domain.devices.memory if domain.devices is not None else []
    if any(isinstance(module, NVDIMM) for module in modules):
        words.append("nvdimm=on")
    if domain.cpu is not None and domain.cpu.numa is not None and has_hmat(domain.cpu.numa):
        words.append("hmat=on")
    enclaves = [module for module in modules if isinstance(module, SGXEPC)]
    for number, module in enumerate(enclaves):
        words.append(f"sgx-epc.{number}.memdev=mem{module.alias}")
        if module.target is not None and module.target.node is not None:
            words.append(f"sgx-epc.{number}.node={module.target.node}")
    ram = default_ram(builder)
    if ram is not None:
        words.append(f"memory-backend={ram}")
    words += _loadparm(builder)
    speaker = speaker_audio(builder)
    if speaker is not None:
        words.append(f"pcspk-audiodev={speaker}")
    if domain.launch_security is not None:
        words.append("confidential-guest-support=lsec0")
    cpu = domain.cpu
    if cpu is not None and cpu.mode is CPUMode.HOST_MODEL and cpu.model is not None:
        # On POWER, where it stays so: the generation that it is to be compatible with.
        words.append(f"max-cpu-compat={cpu.model.name}")
    words += flash_words(builder)
    if os.bios is not None and os.bios.useserial:
        words.append("graphics=off")
    for timer in domain.clock.timers if domain.clock is not None else ():
        if timer.name is TimerName.HPET and timer.present is not None and capabilities.has("machine-hpet"):
            switch("hpet", timer.present)
    machine = capabilities.machine(domain.machine, domain.type)
    if machine is not None and machine.acpi:
        switch("acpi", bool(features is not None and features.acpi))
    builder.add("-machine", ",".join(words))


def _loadparm(builder: Builder) -> list[str]:
    """What the machine's loader is told where its devices cannot be: the word of the first it boots from."""
    devices = builder.domain.devices
    s390 = Machine.of(builder.domain).s390
    if devices is None or not s390 or builder.capabilities.has("virtio-ccw.loadparm"):
        return []
    bootable = [*devices.disks, *devices.interfaces, *devices.hostdevs]
    ordered = sorted((device for device in bootable if device.boot_order), key=lambda each: each.boot_order or 0)
    return [f"loadparm={ordered[0].loadparm}"] if ordered and ordered[0].loadparm else []


def add_accelerator(builder: Builder) -> None:
    """What executes the guest's instructions."""
    domain = builder.domain
    if domain.type == "qemu":
        tcg = domain.features.tcg if domain.features is not None else None
        cache = f",tb-size={tcg.tb_cache >> 10}" if tcg is not None and tcg.tb_cache else ""
        builder.add("-accel", f"tcg{cache}")
    elif domain.type == "kvm":
        ring = domain.features.kvm.dirty_ring if domain.features is not None and domain.features.kvm else None
        size = f",dirty-ring-size={ring.size}" if ring is not None and ring.state and ring.size else ""
        builder.add("-accel", f"kvm{size}")
    elif domain.type == "hvf":
        builder.add("-accel", "hvf")
    else:
        raise ConfigUnsupported(f"the QEMU binary does not support {domain.type}")


def add_processors(builder: Builder) -> None:
    """Number and arrangement of virtual CPUs, and I/O threads."""
    domain = builder.domain
    maximum = domain.vcpu_maximum
    if domain.vcpus:
        # The others that are on are plugged in before the guest runs.
        count = sum(1 for vcpu in domain.vcpus if vcpu.enabled and not vcpu.hotpluggable)
    else:
        count = domain.vcpu_count
    words = [str(count)]
    if count != maximum:
        words.append(f"maxcpus={maximum}")
    topology = domain.cpu.topology if domain.cpu is not None else None
    if topology is None:
        words += [f"sockets={maximum}", "cores=1", "threads=1"]
    else:
        words.append(f"sockets={topology.sockets}")
        for name, flag, value in (("dies", "smp-dies", topology.dies), ("clusters", "smp-clusters", topology.clusters)):
            if builder.capabilities.has(flag):
                words.append(f"{name}={value or 1}")
            elif (value or 1) != 1:
                whole = "die per socket" if name == "dies" else "cluster per die"
                raise ConfigUnsupported(f"Only 1 {whole} is supported")
        words += [f"cores={topology.cores}", f"threads={topology.threads}"]
    builder.add("-smp", ",".join(words))
    if not domain.iothread_ids:
        for number in range(1, (domain.iothreads or 0) + 1):
            builder.object({"qom-type": "iothread", "id": f"iothread{number}"})
    for thread in domain.iothread_ids:
        poll = thread.poll
        builder.object(
            {
                "qom-type": "iothread",
                "id": f"iothread{thread.id}",
                "thread-pool-min": thread.thread_pool_min,
                "thread-pool-max": thread.thread_pool_max,
                "poll-max-ns": poll.max if poll is not None else None,
                "poll-grow": poll.grow if poll is not None else None,
                "poll-shrink": poll.shrink if poll is not None else None,
            }
        )
    default = domain.default_iothread
    if default is not None:
        builder.object(
            {
                "qom-type": "main-loop",
                "id": "main-loop",
                "thread-pool-min": default.thread_pool_min,
                "thread-pool-max": default.thread_pool_max,
            }
        )


def add_clock(builder: Builder) -> None:
    """What the guest's clock starts from and follows."""
    clock = builder.domain.clock
    offset = clock.offset if clock is not None else None
    words = "base=utc"
    if clock is not None:
        if offset in (ClockOffset.LOCALTIME, ClockOffset.TIMEZONE):
            words = "base=localtime"
        elif offset is ClockOffset.VARIABLE:
            if clock.basis is ClockBasis.LOCALTIME:
                # Kept relative to UTC from now on, so that a change of the host's zone does not move the guest's clock.
                local = builder.now.utcoffset() or timedelta()
                clock.adjustment = int(clock.adjustment or 0) + int(local.total_seconds())
                clock.basis = ClockBasis.UTC
            adjustment = int(clock.adjustment or 0)
            clock.adjustment0 = adjustment
            words = f"base={builder.now.astimezone(UTC) + timedelta(seconds=adjustment):%Y-%m-%dT%H:%M:%S}"
        elif offset is ClockOffset.ABSOLUTE:
            words = f"base={datetime.fromtimestamp(clock.start or 0, UTC):%Y-%m-%dT%H:%M:%S}"
        for timer in clock.timers:
            if timer.name is TimerName.RTC:
                words += f",clock={_TRACKS[timer.track]}" if timer.track in _TRACKS else ""
                words += ",driftfix=slew" if timer.tickpolicy is TickPolicy.CATCHUP else ""
                break
    builder.add("-rtc", words)
    if clock is None:
        return
    if offset is ClockOffset.TIMEZONE and clock.timezone is not None:
        builder.environment["TZ"] = clock.timezone
    for timer in clock.timers:
        if timer.name is TimerName.PIT and builder.capabilities.has("kvm-pit-lost-tick-policy"):
            if timer.tickpolicy in (None, TickPolicy.DELAY):
                builder.add("-global", "kvm-pit.lost_tick_policy=delay")
            elif timer.tickpolicy is TickPolicy.DISCARD:
                builder.add("-global", "kvm-pit.lost_tick_policy=discard")
        elif timer.name is TimerName.HPET and timer.present is False and _has_no_hpet_option(builder):
            builder.add("-no-hpet")


def _has_no_hpet_option(builder: Builder) -> bool:
    """Whether its absence is an option of QEMU's; otherwise it is the machine's, which only those of x86 have."""
    return Machine.of(builder.domain).x86 and not builder.capabilities.has("machine-hpet")


def add_power(builder: Builder) -> None:
    """What power events do; QEMU always stays, the driver decides."""
    domain = builder.domain
    builder.add("-no-shutdown")
    machine = builder.capabilities.machine(domain.machine or "", domain.type)
    if (
        (machine is None or machine.acpi is None)
        and domain.arch in (Arch.I686, Arch.X86_64, Arch.AARCH64)
        and not (domain.features is not None and domain.features.acpi)
    ):
        builder.add("-no-acpi")
    pm = domain.pm
    if pm is None:
        return
    chip = "ICH9-LPC" if is_q35(builder) else "PIIX4_PM"
    for name, value in (("disable_s3", pm.suspend_to_mem), ("disable_s4", pm.suspend_to_disk)):
        if value is not None:
            builder.add("-global", f"{chip}.{name}={int(not value)}")


def is_q35(builder: Builder) -> bool:
    """Whether the machine is of the PCI Express PC family."""
    machine = builder.domain.machine or ""
    return machine == "q35" or machine.startswith("pc-q35-")


def add_boot(builder: Builder) -> None:
    """Boot menu and directly booted kernel."""
    os = builder.domain.os
    assert os is not None
    words = []
    if os.bootmenu is not None and os.bootmenu.enable is not None:
        words.append(f"menu={on_off(os.bootmenu.enable)}")
    if os.bios is not None and os.bios.reboot_timeout is not None:
        words.append(f"reboot-timeout={os.bios.reboot_timeout}")
    if os.bootmenu is not None and os.bootmenu.timeout is not None:
        words.append(f"splash-time={os.bootmenu.timeout}")
    builder.add("-boot", ",".join([*words, "strict=on"]))
    for option, value in (
        ("-kernel", os.kernel),
        ("-initrd", os.initrd),
        ("-append", os.cmdline),
        ("-shim", os.shim),
        ("-dtb", os.dtb),
    ):
        if value is not None:
            builder.add(option, value)
    for table in os.acpi_tables:
        signature = {"slic": "sig=SLIC,", "msdm": "sig=MSDM,"}.get(table.type, "")
        builder.add("-acpitable", f"{signature}file={escape(table.path or '')}")
