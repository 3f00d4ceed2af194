"""Definitions of secrets: defaults, uses, and what is refused."""

from __future__ import annotations

import uuid

import pytest

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import DefinitionContext
from virtcore.model.secret import CephUsage, Secret, SecretUsageType, format_secret, load_secret

ID = "55ab2a27-8f6a-4ac5-9f22-6a01e0b1a5d5"


def test_defaults() -> None:
    secret = load_secret("<secret/>", context=DefinitionContext(new_uuid=lambda: uuid.UUID(ID)))
    assert format_secret(secret) == f"<secret ephemeral='no' private='no'>\n  <uuid>{ID}</uuid>\n</secret>\n"
    assert (secret.usage_type, secret.usage_id) == (SecretUsageType.NONE, None)


def test_made_by_hand() -> None:
    secret = Secret(ephemeral=False, private=True, uuid=ID, usage=CephUsage(name="client.admin"))
    again = load_secret(format_secret(secret))
    assert again == secret
    assert (again.usage_type, again.usage_id) == (SecretUsageType.CEPH, "client.admin")


def test_use_of_no_kind_is_none() -> None:
    assert load_secret("<secret><usage type='none'><name>x</name></usage></secret>").usage is None


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ("<secret ephemeral='maybe'/>", "XML error: invalid value of 'ephemeral'", "/secret/@ephemeral"),
        ("<secret private='1'/>", "XML error: invalid value of 'private'", "/secret/@private"),
        ("<secret><uuid>x</uuid></secret>", "internal error: malformed uuid element", "/secret/uuid"),
        ("<secret><usage/></secret>", "XML error: unknown secret usage type", "/secret/usage"),
        (
            "<secret><usage type='door'/></secret>",
            "unsupported configuration: unknown secret usage type door",
            "/secret/usage/@type",
        ),
        (
            "<secret><usage type='volume'><name>x</name></usage></secret>",
            "internal error: volume usage specified, but volume path is missing",
            "/secret/usage",
        ),
        (
            "<secret><usage type='ceph'/></secret>",
            "internal error: Ceph usage specified, but name is missing",
            "/secret/usage",
        ),
        (
            "<secret><usage type='iscsi'/></secret>",
            "internal error: iSCSI usage specified, but target is missing",
            "/secret/usage",
        ),
        (
            "<secret><usage type='tls'/></secret>",
            "internal error: TLS usage specified, but name is missing",
            "/secret/usage",
        ),
        (
            "<secret><usage type='vtpm'/></secret>",
            "internal error: vTPM usage specified, but name is missing",
            "/secret/usage",
        ),
        ("<pool/>", "XML error: expecting root element of 'secret', not 'pool'", "/pool"),
    ],
)
def test_refused(given: str, message: str, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_secret(given)
    assert str(caught.value) == message
    assert caught.value.path == path


def test_malformed_names_the_document() -> None:
    with pytest.raises(VirtError) as caught:
        load_secret("<secret>")
    assert caught.value.domain is ErrorDomain.NONE  # whoever asked for it says where it is from
    assert "in (definition_of_secret)" in caught.value.__notes__
