"""What the driver claims against what the suite tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtcore.testing.suite.target import Target, covered_by

if TYPE_CHECKING:
    from virtcore.api.sync import Connection

__all__ = ["TestClaims"]


class TestClaims:
    """Nothing is claimed that is not tested."""

    def test_every_claim_is_tested(
        self, connection: Connection, target: Target, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from virtcore.operations.declare import all_operations

        known = all_operations()
        claimed = {name for name, record in known.items() if not record.internal and connection.supports(name)}
        unknown = sorted(set(target.tested_elsewhere) - claimed)
        assert not unknown, f"the target says where {unknown} are tested, which the driver does not claim"
        tested = covered_by(vars(request.module)) & claimed
        elsewhere = set(target.tested_elsewhere) - tested
        with capsys.disabled():
            print(f"\n{len(claimed)} operations claimed, {len(tested)} tested by the suite, {len(elsewhere)} elsewhere")
        untested = sorted(claimed - tested - elsewhere)
        assert not untested, (
            f"claimed but untested: {', '.join(untested)} (test them, and say in Target.tested_elsewhere where)"
        )
