"""Parameters of a migration: what the reference has no case for. Needs no QEMU."""

from __future__ import annotations

import pytest

from virt_qemu.migration_parameters import (
    MigrationParameter,
    kept_parameters,
    read_parameters,
    set_arguments,
    told_parameters,
)
from virtcore.errors import InternalError
from virtcore.xml import load


def param(attributes: str) -> MigrationParameter:
    return load(f"<param {attributes}/>", MigrationParameter)


def test_only_values_of_their_kind_are_used() -> None:
    reply = {
        "direct-io": True,
        "block-incremental": 1,
        "multifd-channels": 1 << 31,
        "compress-level": True,
        "tls-creds": None,
        "max-bandwidth": (1 << 64) - 1,
        "x-of-the-future": 3,
    }
    assert told_parameters(reply) == {"max-bandwidth": (1 << 64) - 1, "direct-io": True}


def test_what_is_kept_is_read_again() -> None:
    parameters = told_parameters({"direct-io": False, "tls-hostname": "<h>", "downtime-limit": 0, "compress-level": -1})
    kept = kept_parameters(parameters)
    assert [(each.name, each.value) for each in kept] == [
        ("compress-level", "-1"),
        ("tls-hostname", "<h>"),
        ("downtime-limit", "0"),
        ("direct-io", "no"),
    ]
    assert read_parameters(reversed(kept)) == parameters
    assert list(read_parameters(reversed(kept))) == list(parameters)


def test_going_on_behind_the_guest_changes_little() -> None:
    parameters = told_parameters({"max-bandwidth": 1, "max-postcopy-bandwidth": 2})
    assert set_arguments(parameters, resume=True) == {"max-postcopy-bandwidth": 2}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("value='1'", "missing migration parameter name"),
        ("name='max-bandwidth'", "missing value for migration parameter 'max-bandwidth'"),
        ("name='speed' value='1'", "unknown migration parameter 'speed'"),
        ("name='max-bandwidth' value='-1'", "invalid value '-1' for migration parameter 'max-bandwidth'"),
        ("name='compress-level' value='2147483648'", "invalid value '2147483648' for migration parameter"),
        ("name='direct-io' value='1'", "invalid value '1' for migration parameter 'direct-io'"),
    ],
)
def test_what_is_no_parameter_is_refused(attributes: str, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        param(attributes)
