"""A domain's job through the operations: asked and aborted by anybody, while its holder works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from virtcore.driver.base import OpenRequest
from virtcore.driver.toolkit import DomainObject, DriverState, JobDriver, StateFolders
from virtcore.enums import (
    DomainCreateFlags,
    DomainGetJobStatsFlags,
    DomainJobOperation,
    DomainJobType,
    DomainState,
)
from virtcore.errors import InvalidArg, OperationAborted, OperationInvalid
from virtcore.model.domain.rules import DomainRules
from virtcore.types import DomainRef
from virtcore.uri import ConnectionURI

XML = "<domain type='qemu'><name>{}</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"
COMPLETED = DomainGetJobStatsFlags.COMPLETED
KEEP = COMPLETED | DomainGetJobStatsFlags.KEEP_COMPLETED


class BusyState(DriverState):
    driver_name = "busy"

    def make_rules(self) -> DomainRules:
        return DomainRules()

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        self.running(obj)

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        pass


class BusyDriver(JobDriver[BusyState]):
    name = "BUSY"
    function_prefix = "busy"

    @classmethod
    async def open(cls, request: OpenRequest) -> BusyDriver:
        folders = StateFolders.below(request.uri.path, "busy")
        return await cls.attach(request, ("busy", str(folders.config)), lambda: BusyState(folders))

    async def domain_core_dump(self, domain: DomainRef, to: str, dumpformat: int = 0, flags: int = 0) -> None:
        async with self.domain(domain).job.asynchronous("domain_core_dump", DomainJobOperation.DUMP) as job:
            for left in range(100, 0, -1):
                job.report({"data_total": 100, "data_remaining": left})
                await asyncio.sleep(0.001)


def play(scenario: Callable[[BusyDriver, DomainRef, DomainRef], Awaitable[None]], folder: Path) -> None:
    async def main() -> None:
        driver = await BusyDriver.open(OpenRequest(ConnectionURI.parse(f"busy://{folder}")))
        try:
            running = await driver.domain_create(await driver.connection_define_domain(XML.format("running")))
            off = await driver.connection_define_domain(XML.format("off"))
            async with asyncio.timeout(60):
                await scenario(driver, running, off)
        finally:
            await driver.close()

    asyncio.run(main())


def test_a_job_and_its_end(tmp_path: Path) -> None:
    async def scenario(driver: BusyDriver, running: DomainRef, off: DomainRef) -> None:
        assert driver.domain_job_stats(running).type is DomainJobType.NONE
        dump = asyncio.create_task(driver.domain_core_dump(running, "/dump"))
        await asyncio.sleep(0.01)
        stats = driver.domain_job_stats(running)
        assert stats.type is DomainJobType.BOUNDED
        assert stats.percent is not None
        assert stats.params["operation"] == DomainJobOperation.DUMP
        assert driver.domain_job_stats(running, COMPLETED).type is DomainJobType.NONE, "it has not ended"
        assert driver.domain_state(running).state is DomainState.RUNNING, "a query waits for nothing"
        await dump
        assert driver.domain_job_stats(running).type is DomainJobType.NONE
        for flags in (KEEP, KEEP, COMPLETED):
            ended = driver.domain_job_stats(running, flags)
            assert (ended.type, ended.params["success"]) == (DomainJobType.COMPLETED, True)
        assert driver.domain_job_stats(running, COMPLETED).type is DomainJobType.NONE, "it was told"

    play(scenario, tmp_path)


def test_an_abort(tmp_path: Path) -> None:
    async def scenario(driver: BusyDriver, running: DomainRef, off: DomainRef) -> None:
        with pytest.raises(OperationInvalid, match="no job is active on the domain"):
            await driver.domain_abort_job(running)
        dump = asyncio.create_task(driver.domain_core_dump(running, "/dump"))
        await asyncio.sleep(0.01)
        await driver.domain_abort_job(running)
        with pytest.raises(OperationAborted, match="domain core dump job: canceled by client"):
            await dump
        assert driver.domain_job_stats(running, COMPLETED).type is DomainJobType.CANCELLED

    play(scenario, tmp_path)


def test_what_is_refused(tmp_path: Path) -> None:
    async def scenario(driver: BusyDriver, running: DomainRef, off: DomainRef) -> None:
        async def job_stats(domain: DomainRef, flags: int = 0) -> None:
            driver.domain_job_stats(domain, flags)

        for refused in (job_stats, driver.domain_abort_job):
            with pytest.raises(OperationInvalid, match="domain is not running"):
                await refused(off)
            with pytest.raises(InvalidArg, match=r"unsupported flags \(0x80\) in function busyDomain"):
                await refused(running, 0x80)
        assert driver.domain_job_stats(off, COMPLETED).type is DomainJobType.NONE

    play(scenario, tmp_path)
