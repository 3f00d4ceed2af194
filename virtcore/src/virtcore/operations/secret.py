"""Operations on secrets: the service ``secret``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import ConnectListAllSecretsFlags, SecretDefineFlags, SecretUsageType
    from virtcore.types import SecretRef

__all__ = ["SecretFindOperations", "SecretOperations", "SecretService"]


class SecretFindOperations(OperationSet, family="connection"):
    """Finding and making secrets."""

    @operation(Kind.QUERY)
    def connection_list_secrets(self, flags: ConnectListAllSecretsFlags | int = 0) -> Result[Sequence[SecretRef]]:
        """Secrets that pass every group of filter flags; 0 for all (``virConnectListAllSecrets``)."""

    @operation(Kind.QUERY, keys=("uuid", "usage_type usage_id"))
    def connection_lookup_secret(
        self, uuid: str | None = None, usage_type: SecretUsageType | int | None = None, usage_id: str | None = None
    ) -> Result[SecretRef]:
        """The secret of a UUID, or of a type and thing it is for (``virSecretLookupByUUID`` and siblings).

        :raises NoSecret: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_define_secret(self, xml: str, flags: SecretDefineFlags | int = 0) -> Result[SecretRef]:
        """Define a secret, or change the definition of one (``virSecretDefineXML``). Its value is set separately.

        :raises XMLError: the document is refused; nothing changed.
        """


class SecretOperations(OperationSet, family="secret"):
    """What a driver offers on a secret. Every method raises ``NoSecret`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def secret_xml(self, secret: SecretRef, flags: int = 0) -> Result[str]:
        """Its XML, without the value (``virSecretGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def secret_value(self, secret: SecretRef, flags: int = 0) -> Result[bytes]:
        """Its value (``virSecretGetValue``).

        :raises InvalidSecret: it is private.
        :raises NoSecret: it has no value.
        """

    @operation(Kind.CHANGE, secret=("value",))
    def secret_set_value(self, secret: SecretRef, value: bytes, flags: int = 0) -> Result[None]:
        """Set its value (``virSecretSetValue``)."""

    @operation(Kind.CHANGE)
    def secret_undefine(self, secret: SecretRef) -> Result[None]:
        """Remove it and its value (``virSecretUndefine``)."""


class SecretService(SecretFindOperations, SecretOperations, service="secret"):
    """What a driver of secrets implements."""
