"""What belongs to a domain beyond its definition and goes or stays with it: variables of firmware, state of TPMs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtcore.driver.toolkit import DriverState
from virtcore.enums.domain import DomainUndefineFlags
from virtcore.errors import InvalidArg, OperationInvalid, SystemError

if TYPE_CHECKING:
    from virt_qemu.host_side import HostSide
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain

__all__ = ["BelongingsState"]

_Flags = DomainUndefineFlags
#: What in a definition's text says that something belongs to it; without these nobody needs to read it.
_SIGNS = ("<loader", "<nvram", "firmware=", "<tpm")


class BelongingsState(DriverState):
    """The part of the driver's state that removes what belongs to domains."""

    @property
    def host_side(self) -> HostSide:
        """Hook: what guests have on the host beside their QEMU."""
        raise NotImplementedError

    async def before_undefine(self, obj: DomainObject, flags: DomainUndefineFlags) -> None:
        if flags and flags & _Flags.NVRAM and flags & _Flags.KEEP_NVRAM:
            raise OperationInvalid("cannot both keep and delete nvram")
        if flags and flags & _Flags.TPM and flags & _Flags.KEEP_TPM:
            raise InvalidArg(
                "Flags 'VIR_DOMAIN_UNDEFINE_TPM' and 'VIR_DOMAIN_UNDEFINE_KEEP_TPM' are mutually exclusive"
            )
        await super().before_undefine(obj, flags)
        if self._may_have(obj):
            domain = self.definition(obj)
            _remove_variables(domain, flags)
            if not obj.active:
                self.remove_tpms(domain, flags)

    def facts_of_definition(self, domain: Domain) -> Facts:
        return {**super().facts_of_definition(domain), "belongings": may_have_belongings(domain)}

    def _may_have(self, obj: DomainObject) -> bool:
        known = obj.facts.get("belongings")
        if known is None:  # written by a version that did not say so
            text = self.text(obj)
            return any(sign in text for sign in _SIGNS)
        return bool(known)

    def remove_tpms(self, domain: Domain, flags: DomainUndefineFlags | int = 0) -> None:
        """A domain is forgotten: remove what its TPMs know, unless it is to stay."""
        from virt_qemu.host_side.tpms import remove_state

        if not int(flags) & _Flags.KEEP_TPM:
            remove_state(self.host_side, domain, persistent=bool(int(flags) & _Flags.TPM))


def may_have_belongings(domain: Domain) -> bool:
    """Whether a definition has something that keeps its own state on the host."""
    os_ = domain.os
    firmware = os_ is not None and (os_.loader is not None or os_.nvram is not None or os_.firmware is not None)
    return firmware or (domain.devices is not None and bool(domain.devices.tpms))


def _remove_variables(domain: Domain, flags: DomainUndefineFlags) -> None:
    """Remove the variables of the firmware, or refuse to forget whose they are.

    :raises OperationInvalid: nobody says what is to become of them.
    :raises SystemError: they stay.
    """
    from virt_qemu.variables import variables_path

    path = variables_path(domain)
    if path is None or not os.path.exists(path) or flags & _Flags.KEEP_NVRAM:
        return
    if not flags & _Flags.NVRAM:
        raise OperationInvalid("cannot undefine domain with nvram")
    try:
        os.unlink(path)
    except OSError as error:
        raise SystemError(f"failed to remove nvram: {path}: {error.strerror}") from None
