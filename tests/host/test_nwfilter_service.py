"""The service of network filters where no port is filtered: nothing of the host is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from virt_host.nwfilter.service import HostNWFilters
from virtcore.driver.base import Place
from virtcore.errors import OperationInvalid, VirtError
from virtcore.model.nwfilter import FilterReference


@asynccontextmanager
async def service(root: Path, privileged: bool) -> AsyncIterator[HostNWFilters]:
    opened = HostNWFilters(Place(privileged, str(root)))
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


def test_the_filters_that_come_with_libvirt(tmp_path: Path) -> None:
    async def work() -> None:
        async with service(tmp_path, True) as own:
            refs = {ref.name: ref for ref in own.connection_list_nwfilters()}
            assert len(refs) == 24
            assert len({ref.uuid for ref in refs.values()}) == 24
            for obj in own.filters.table:
                for entry in obj.filter.entries:
                    if isinstance(entry, FilterReference):
                        assert entry.filter in refs, "all that one uses is there"
            await own.filters.undefine(own.nwfilter(refs.pop("allow-arp")))
        async with service(tmp_path, True) as own:
            assert {ref.name: ref for ref in own.connection_list_nwfilters()} == refs, "once and for all"
            assert not own.in_use

    asyncio.run(work())


def test_a_user_has_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with service(tmp_path, False) as own:
            assert own.connection_list_nwfilters() == []
            assert own.connection_list_nwfilter_bindings() == []
            with pytest.raises(OperationInvalid, match="Can't define NWFilters in session mode"):
                await own.connection_define_nwfilter("<filter name='f'/>")
            with pytest.raises(OperationInvalid, match="Can't define NWFilter bindings in session mode"):
                await own.connection_create_nwfilter_binding("<nonsense/>")
            for asked, function in (
                (own.connection_define_nwfilter("", 2), "nwfilterDefineXMLFlags"),
                (own.connection_create_nwfilter_binding("", 2), "nwfilterBindingCreateXML"),
            ):
                with pytest.raises(VirtError, match=rf"unsupported flags \(0x2\) in function {function}"):
                    await asked
            with pytest.raises(VirtError, match="in function nwfilterConnectListAllNWFilterBindings"):
                own.connection_list_nwfilter_bindings(1)

    asyncio.run(work())
