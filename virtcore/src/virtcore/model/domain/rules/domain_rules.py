"""The stages that make a domain complete and valid, in libvirt's fixed order, and where a driver hooks into them.

Reading by declaration, completion and validation are three functions. A driver subclasses :class:`DomainRules` and
overrides the hooks it needs; it can neither replace nor reorder a stage. Further checks (of plugins) run behind
the last stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import DefinitionRules
from virtcore.model.domain.rules import (
    common,
    device_group_validate,
    device_list,
    device_validate,
    devices,
    hostdev_validate,
    validate,
)
from virtcore.model.domain.rules.context import DomainContext, DomainFeature, ParseFlag
from virtcore.model.domain.rules.settle import settle
from virtcore.xml import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtcore.model.arch import Arch
    from virtcore.model.domain.domain import Domain

__all__ = ["DomainRules"]


def _settle(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    if context.parsed:
        settle(domain, context)


def _each_device(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    for device in device_list.iterate_devices(domain, all_consoles=True, missing_info=True):
        rules.complete_device(device, domain, context)


def _implicit_devices(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    """Devices that follow from others; they came too late for the stage before and are completed here."""
    devices.add_implicit_devices(domain, context)
    for device in devices.settle_first_devices(domain, context):
        rules.complete_device(device, domain, context)


def _check_each_device(rules: DomainRules, domain: Domain, context: DomainContext) -> None:
    for device in device_list.every_device(domain, all_consoles=True, missing_info=True):
        rules.check_device(device, domain, context)


def _generic(name: str, function: Callable[[Domain, DomainContext], None]) -> Stage:
    """A stage that is the same for every driver."""
    return Stage(name, lambda _rules, domain, context: function(domain, context))


# libvirt: the parser, then virDomainDefPostParse.
_COMPLETION = (
    Stage("settle", _settle),
    Stage("basic", lambda rules, domain, context: rules.basic(domain, context), driver=True),
    _generic("controller-indexes", devices.assign_controller_indexes),
    Stage("domain", lambda rules, domain, context: rules.domain(domain, context), driver=True),
    _generic("isa-serial", devices.assign_isa_serial_ports),
    Stage("devices", _each_device),
    _generic("init", common.require_init),
    _generic("vcpus", common.complete_vcpus),
    _generic("memory", common.complete_memory),
    _generic("loader", common.complete_loader),
    _generic("hugepages", common.trim_hugepages),
    _generic("duplicate-controllers", devices.reject_duplicate_controllers),
    _generic("duplicate-panics", devices.reject_duplicate_panics),
    _generic("boot-order", common.complete_boot_order),
    _generic("timers", common.verify_timers),
    Stage("implicit-devices", _implicit_devices),
    _generic("metadata", common.sanitize_metadata),
    _generic("graphics", devices.complete_graphics),
    _generic("cpu", common.verify_cpu),
    Stage("addresses", lambda rules, domain, context: rules.addresses(domain, context), driver=True),
    _generic("features", common.check_features),
)

# virDomainDefValidate
_VALIDATION = (
    Stage("driver-checks", lambda rules, domain, context: rules.validate_domain(domain, context), driver=True),
    _generic("device-conflicts", device_group_validate.refuse_conflicts),
    Stage("device-checks", _check_each_device),
    _generic("resource", validate.validate_resource),
    _generic("duplicate-disks", device_group_validate.validate_duplicate_disks),
    _generic("hostdevs", hostdev_validate.validate_hostdevs),
    _generic("drive-addresses", device_group_validate.validate_drive_addresses),
    _generic("topology", validate.validate_topology),
    _generic("aliases", device_group_validate.validate_aliases),
    _generic("audios", device_group_validate.validate_audios),
    _generic("iommu", device_group_validate.validate_iommu),
    _generic("lifecycle", validate.validate_lifecycle),
    _generic("memtune", validate.validate_memtune),
    _generic("os", validate.validate_os),
    _generic("cputune", validate.validate_cputune),
    _generic("boot", validate.validate_boot),
    _generic("videos", device_group_validate.validate_videos),
    _generic("tunables", validate.validate_tunables),
    _generic("idmap", validate.validate_idmap),
    _generic("numa", validate.validate_numa),
    _generic("iothreads", validate.validate_iothreads),
    _generic("launch-security", validate.validate_launch_security),
    _generic("throttle-groups", validate.validate_throttle_groups),
)


class DomainRules(DefinitionRules["Domain", DomainContext]):
    """What a driver knows about domains: its features, its defaults, its checks.

    This class itself is the rules of no driver in particular.
    """

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.DOMAIN
    #: What the driver can deal with; everything else is refused or dropped by the generic stages.
    features: ClassVar[DomainFeature] = DomainFeature.NONE

    completion = _COMPLETION
    validation = _VALIDATION

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

    # -- one device, as on hotplug -------------------------------------------------------------------------------------

    def complete_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        """Fills in one device."""
        try:
            self.device(device, domain, context)
            devices.complete_device(device, domain, context)
            devices.check_device_features(device, context)
        except VirtError as error:
            device_list.locate(error, domain, device)
            raise

    def check_device(self, device: object, domain: Domain, context: DomainContext) -> None:
        """Refuses one device that cannot work."""
        try:
            device_validate.validate_device(device, domain, context)
            self.validate_device(device, domain, context)
        except VirtError as error:
            device_list.locate(error, domain, device)
            raise

    def validate(self, obj: Domain, context: DomainContext) -> None:
        """Runs the validation stages, unless the context says not to.

        :raises VirtError: the domain cannot work.
        """
        if not context.has(ParseFlag.SKIP_VALIDATE):
            super().validate(obj, context)
