"""``<launchSecurity>``: guests whose memory the host cannot read."""

from __future__ import annotations

from enum import StrEnum

from virtcore.xml import HEX, UINT, YES_NO, attribute, element, leaf

__all__ = ["SEV", "SEVSNP", "S390PV", "LaunchSecurity", "LaunchSecurityType"]


class LaunchSecurityType(StrEnum):
    """Kind of protection."""

    SEV = "sev"
    SEV_SNP = "sev-snp"
    S390_PV = "s390-pv"


_NO_POLICY = "failed to get launch security policy"


@element(None, doc="What AMD's kinds of protection share.")
class _SEVCommon:
    kernel_hashes: bool | None = attribute(
        "kernelHashes", codec=YES_NO, doc="Hashes of a directly booted kernel are measured too.", since="8.0.0"
    )


@element("launchSecurity", tag=LaunchSecurityType.SEV, doc="AMD's Secure Encrypted Virtualization.", since="4.4.0")
class SEV(_SEVCommon):
    cbitpos: int | None = leaf(codec=UINT, invalid="Invalid format for launch security cbitpos", doc="The C-bit.")
    reduced_phys_bits: int | None = leaf(
        "reducedPhysBits", codec=UINT, invalid="Invalid format for launch security reduced-phys-bits"
    )
    policy: int = leaf(
        codec=HEX("0x%04x", base=16), required=True, missing=_NO_POLICY, invalid=_NO_POLICY, doc="The guest's policy."
    )
    dh_cert: str | None = leaf("dhCert", doc="The owner's Diffie-Hellman key, Base64.")
    session: str | None = leaf(doc="Session blob, Base64.")


@element("launchSecurity", tag=LaunchSecurityType.SEV_SNP, doc="AMD's SEV-SNP.", since="10.5.0")
class SEVSNP(_SEVCommon):
    author_key: bool | None = attribute("authorKey", codec=YES_NO, doc="The identity block has an author's key.")
    vcek: bool | None = attribute(codec=YES_NO, doc="Whether the chip's own key may sign.")
    cbitpos: int | None = leaf(codec=UINT, invalid="Invalid format for launch security cbitpos", doc="The C-bit.")
    reduced_phys_bits: int | None = leaf(
        "reducedPhysBits", codec=UINT, invalid="Invalid format for launch security reduced-phys-bits"
    )
    policy: int = leaf(codec=HEX("0x%08x", bits=64, base=16), required=True, missing=_NO_POLICY, invalid=_NO_POLICY)
    guest_visible_workarounds: str | None = leaf("guestVisibleWorkarounds", doc="16 bytes, Base64.")
    id_block: str | None = leaf("idBlock", doc="96 bytes, Base64.")
    id_auth: str | None = leaf("idAuth", doc="4096 bytes, Base64.")
    host_data: str | None = leaf("hostData", doc="32 bytes, Base64.")


@element("launchSecurity", tag=LaunchSecurityType.S390_PV, doc="IBM Secure Execution.", since="7.6.0")
class S390PV:
    pass


LaunchSecurity = SEV | SEVSNP | S390PV
