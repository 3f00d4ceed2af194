"""What the driver claims against what the suite tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from virtcore.testing.suite.target import Target, covered_by, given, report_of, wants

if TYPE_CHECKING:
    from virtcore.api.sync import Connection

__all__ = ["TestClaims"]


class TestClaims:
    """Nothing is claimed that is not tested."""

    def test_every_claim_is_tested(
        self, connection: Connection, target: Target, request: pytest.FixtureRequest
    ) -> None:
        from virtcore.operations.declare import all_operations

        operations = all_operations()
        claimed = {name for name in target.claims(connection) if not operations[name].internal}
        unknown = sorted(set(target.tested_elsewhere) - claimed)
        assert not unknown, f"the target says where {unknown} are tested, which the driver does not claim"
        covered = covered_by(vars(request.module))
        tested: set[str] = set()
        missing: list[str] = []
        for operation in sorted(claimed):
            tests = covered.get(operation, ())
            hindrances = [_hindrance(test, claimed, target) for test in tests]
            if tests and not all(hindrances):
                tested.add(operation)
            elif operation not in target.tested_elsewhere:
                missing.append(f"{operation} ({min(hindrances, key=len) if hindrances else 'unknown to the suite'})")
        elsewhere = set(target.tested_elsewhere) - tested
        report_of(request.config).claims[request.module.__name__] = (
            f"{connection.type()}: {len(claimed)} operations claimed, {len(tested)} tested by the suite, "
            f"{len(elsewhere)} elsewhere"
        )
        assert not missing, (
            f"claimed but untested: {', '.join(missing)}; test them, and say in Target.tested_elsewhere where"
        )


def _hindrance(test: Callable[..., object], claimed: set[str], target: Target) -> str:
    """Why a test of the suite does not run for a driver; empty where it does."""
    unclaimed = [operation for operation in wants(test) if operation not in claimed]
    if unclaimed:
        return f"its test needs {', '.join(unclaimed)}"
    hooks = [f"Target.{hook}()" for hook in getattr(test, "__asks__", ()) if not given(target, hook)]
    return f"its test needs {', '.join(hooks)}" if hooks else ""
