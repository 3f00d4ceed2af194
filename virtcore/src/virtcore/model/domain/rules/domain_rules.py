"""The stages that make a domain complete and valid, in libvirt's fixed order, and where a driver hooks into them.

Reading by declaration, completion and validation are three functions. A driver subclasses :class:`DomainRules` and
overrides the
hooks it needs; it can neither replace nor reorder a stage. Further checks (of plugins) run behind the last stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from virtcore.errors import VirtError
from virtcore.model.domain.rules import common, device_list, device_validate, devices, hostdev_validate, validate
from virtcore.model.domain.rules.context import DomainContext, DomainFeature, ParseFlag
from virtcore.model.domain.rules.settle import settle

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.domain.domain import Domain

__all__ = ["COMPLETION", "VALIDATION", "DomainRules", "DomainStage"]


class DomainRules:
    """What a driver knows about domains: its features, its defaults, its checks.

    This class itself is the rules of no driver in particular.

    :param checks: further checks (of plugins), run behind the last validation stage.
    """

    #: What the driver can deal with; everything else is refused or dropped by the generic stages.
    features: ClassVar[DomainFeature] = DomainFeature.NONE

    def __init__(self, checks: Iterable[Callable[[Domain, DomainContext], None]] = ()) -> None:
        self.checks = tuple(checks)

    def context(
        self, flags: ParseFlag = ParseFlag.INACTIVE, *, arch: Arch | None = None, security_model: str | None = None
    ) -> DomainContext:
        """A context for these rules."""
        context = DomainContext(flags=flags, features=self.features, security_model=security_model)
        if arch is not None:
            context.arch = arch
        return context

    # -- hooks, in the order they are called ---------------------------------------------------------------------------

    def basic(self, domain: Domain, context: DomainContext) -> None:
        """First defaults: emulator, machine type, what others depend on (``domainPostParseBasicCallback``)."""

    def domain(self, domain: Domain, context: DomainContext) -> None:
        """Defaults of the domain, devices the machine always has (``domainPostParseCallback``)."""

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        """Defaults of one device (``devicesPostParseCallback``)."""

    def addresses(self, domain: Domain, context: DomainContext) -> None:
        """Gives every device its address (``assignAddressesCallback``)."""

    def validate_domain(self, domain: Domain, context: DomainContext) -> None:
        """Refuses what the driver cannot run (``domainValidateCallback``)."""

    def validate_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        """Refuses a device the driver cannot provide (``deviceValidateCallback``)."""

    # -- the two functions ---------------------------------------------------------------------------------------------

    def complete(self, domain: Domain, context: DomainContext) -> None:
        """Fills in everything that has a default, in place.

        :raises VirtError: what is given contradicts itself, or the driver cannot deal with it.
        """
        for stage in COMPLETION:
            try:
                stage.run(self, domain, context)
            except VirtError:
                if not stage.driver or ParseFlag.ALLOW_POST_PARSE_FAIL not in context.flags:
                    raise

    def complete_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        """Fills in one device, as a stage of :meth:`complete` and on hotplug."""
        self.device(device, domain, context)
        devices.complete_device(device, domain, context)
        devices.check_device_features(device, context)

    def validate(self, domain: Domain, context: DomainContext) -> None:
        """Refuses a domain that cannot work.

        :raises VirtError: why.
        """
        if ParseFlag.SKIP_VALIDATE in context.flags:
            return
        for stage in VALIDATION:
            stage.run(self, domain, context)
        for check in self.checks:
            check(domain, context)


class DomainStage(NamedTuple):
    """One step of completion or validation.

    :ivar name: what it does; fixed.
    :ivar run: does it.
    :ivar driver: whether it is the driver's.
    """

    name: str
    run: Callable[[DomainRules, Domain, DomainContext], None]
    driver: bool = False


def _generic(name: str, function: Callable[[Domain, DomainContext], None]) -> DomainStage:
    return DomainStage(name, lambda _rules, domain, context: function(domain, context))


def _each_device(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    for device in device_list.iterate_devices(domain, all_consoles=True, missing_info=True):
        rules.complete_device(device, domain, context)


def _implicit_devices(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    """Devices that follow from others; they came too late for the stage before and are completed here."""
    devices.add_implicit_devices(domain, context)
    for device in devices.settle_first_devices(domain, context):
        rules.complete_device(device, domain, context)


def _validate_each_device(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    for device in device_list.iterate_devices(domain, all_consoles=True, missing_info=True):
        device_validate.validate_device(device, domain, context)
        rules.validate_device(device, domain, context)


#: Completion, in order (libvirt: the parser, then ``virDomainDefPostParse``).
COMPLETION: tuple[DomainStage, ...] = (
    _generic("settle", settle),
    DomainStage("basic", lambda rules, domain, context: rules.basic(domain, context), driver=True),
    _generic("controller-indexes", devices.assign_controller_indexes),
    DomainStage("domain", lambda rules, domain, context: rules.domain(domain, context), driver=True),
    _generic("isa-serial", devices.assign_isa_serial_ports),
    DomainStage("devices", _each_device, driver=True),
    _generic("init", common.require_init),
    _generic("vcpus", common.complete_vcpus),
    _generic("memory", common.complete_memory),
    _generic("loader", common.complete_loader),
    _generic("hugepages", common.trim_hugepages),
    _generic("duplicate-controllers", devices.reject_duplicate_controllers),
    _generic("duplicate-panics", devices.reject_duplicate_panics),
    _generic("boot-order", common.complete_boot_order),
    _generic("timers", common.verify_timers),
    DomainStage("implicit-devices", _implicit_devices),
    _generic("metadata", common.sanitize_metadata),
    _generic("graphics", devices.complete_graphics),
    _generic("cpu", common.verify_cpu),
    DomainStage("addresses", lambda rules, domain, context: rules.addresses(domain, context), driver=True),
    _generic("features", common.check_features),
)

#: Validation, in order (``virDomainDefValidate``).
VALIDATION: tuple[DomainStage, ...] = (
    DomainStage("driver", lambda rules, domain, context: rules.validate_domain(domain, context), driver=True),
    DomainStage("devices", _validate_each_device),
    _generic("resource", validate.validate_resource),
    _generic("duplicate-disks", device_validate.validate_duplicate_disks),
    _generic("hostdevs", hostdev_validate.validate_hostdevs),
    _generic("drive-addresses", device_validate.validate_drive_addresses),
    _generic("topology", validate.validate_topology),
    _generic("aliases", device_validate.validate_aliases),
    _generic("iommu", device_validate.validate_iommu),
    _generic("lifecycle", validate.validate_lifecycle),
    _generic("memtune", validate.validate_memtune),
    _generic("os", validate.validate_os),
    _generic("cputune", validate.validate_cputune),
    _generic("boot", validate.validate_boot),
    _generic("videos", device_validate.validate_videos),
    _generic("tunables", validate.validate_tunables),
    _generic("idmap", validate.validate_idmap),
    _generic("numa", validate.validate_numa),
    _generic("iothreads", validate.validate_iothreads),
    _generic("launch-security", validate.validate_launch_security),
    _generic("throttle-groups", validate.validate_throttle_groups),
)
