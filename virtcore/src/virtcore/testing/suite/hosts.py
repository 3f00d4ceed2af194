"""Connections: what every driver does alike, whatever it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums.common import TypedParameterType
from virtcore.testing.suite.target import Target, covers, needs, refused
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.api.sync import Connection
    from virtcore.operations.declare import Operation

__all__ = ["TestConnection"]


class TestConnection:
    """The connection itself."""

    @covers("connection_type")
    def test_it_says_what_it_is(self, connection: Connection) -> None:
        assert connection.type()

    @covers("connection_version")
    def test_the_version_is_a_number(self, connection: Connection) -> None:
        assert connection.version() >= 0

    @covers("connection_lib_version")
    def test_the_library_version_is_coded(self, connection: Connection) -> None:
        assert connection.lib_version() >= 1000

    @covers("connection_is_alive")
    def test_it_is_alive(self, connection: Connection) -> None:
        assert connection.is_alive() is True

    @covers("connection_is_secure")
    def test_secure_is_yes_or_no(self, connection: Connection) -> None:
        assert connection.is_secure() in (True, False)

    @covers("connection_is_encrypted")
    def test_encrypted_is_yes_or_no(self, connection: Connection) -> None:
        assert connection.is_encrypted() in (True, False)

    @covers("connection_hostname")
    def test_the_host_has_a_name(self, connection: Connection) -> None:
        assert connection.hostname()

    @covers("connection_capabilities")
    def test_capabilities_are_a_document(self, connection: Connection) -> None:
        from lxml import etree

        assert etree.fromstring(connection.capabilities()).tag == "capabilities"

    @covers("connection_node_suspend")
    def test_what_is_no_sleep_of_a_host(self, connection: Connection) -> None:
        for target, flags in ((99, 0), (0, 1 << 20)):
            with pytest.raises(errors.VirtError):
                connection.node_suspend(target, 60, flags)

    @covers("connection_sysinfo")
    def test_sysinfo_is_a_document(self, connection: Connection) -> None:
        from lxml import etree

        try:
            found = connection.sysinfo()
        except errors.ConfigUnsupported as error:
            pytest.skip(f"this host says nothing of itself: {error}")
        assert etree.fromstring(found).tag == "sysinfo"

    @covers("connection_cpu_model_names")
    def test_processor_models_have_names(self, connection: Connection) -> None:
        assert all(connection.cpu_model_names("x86_64"))
        with pytest.raises(errors.VirtError):
            connection.cpu_model_names("no-such-architecture")

    @covers("connection_baseline_cpu")
    def test_what_one_processor_has_in_common_with_itself(self, connection: Connection) -> None:
        from lxml import etree

        cpu = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"
        assert etree.fromstring(connection.baseline_cpu([cpu, cpu])).findtext("model") == "qemu64"
        with pytest.raises(errors.VirtError):
            connection.baseline_cpu([])

    @covers("connection_compare_cpu")
    def test_a_processor_is_compared_with_the_host_s(self, connection: Connection) -> None:
        known = connection.cpu_model_names("x86_64")
        wanted = f"<cpu match='exact'><model>{known[0] if known else 'any'}</model></cpu>"
        assert connection.compare_cpu(wanted) in (0, 1, 2)
        with pytest.raises(errors.VirtError):
            connection.compare_cpu("<cpu")

    @covers("connection_compare_hypervisor_cpu")
    def test_a_processor_is_compared_with_what_guests_may_have(self, connection: Connection) -> None:
        wanted = "<cpu match='exact'><model>qemu64</model></cpu>"
        assert connection.compare_hypervisor_cpu(None, None, None, None, wanted) in (0, 1, 2)
        with pytest.raises(errors.VirtError):
            connection.compare_hypervisor_cpu(None, None, None, None, "<cpu")

    @covers("connection_baseline_hypervisor_cpu")
    def test_what_guests_may_have_on_two_hosts(self, connection: Connection) -> None:
        from lxml import etree

        cpu = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"
        found = connection.baseline_hypervisor_cpu(None, None, None, None, [cpu, cpu])
        assert etree.fromstring(found).tag == "cpu"
        with pytest.raises(errors.VirtError):
            connection.baseline_hypervisor_cpu(None, None, None, None, [])

    @covers("connection_node_set_memory_parameters")
    def test_page_sharing_takes_what_there_is_and_nothing_else(self, connection: Connection) -> None:
        unsigned = TypedParameterType.UINT
        for wrong in (
            ("shm_nonsense", unsigned, 1),
            ("shm_full_scans", unsigned, 1),
            ("shm_pages_to_scan", TypedParameterType.STRING, "many"),
        ):
            with pytest.raises(errors.VirtError):
                connection.node_set_memory_parameters(TypedParameters([wrong]))

    @covers("connection_node_alloc_pages")
    def test_pages_of_no_size_are_not_set_aside(self, connection: Connection) -> None:
        with pytest.raises(errors.VirtError):
            connection.node_alloc_pages([3], [1])

    @covers("connection_node_sev_info")
    def test_encryption_of_memory_is_described_or_refused(self, connection: Connection) -> None:
        try:
            found = connection.node_sev_info()
        except errors.OperationUnsupported:
            return
        assert int(found["cbitpos"]) >= 0
        assert found["pdh"]

    @covers("connection_node_memory_parameters")
    def test_how_the_host_shares_memory(self, connection: Connection) -> None:
        from virtcore.operations.parameters import NODE_MEMORY

        assert all(NODE_MEMORY.get(name) is not None for name, _, _ in connection.node_memory_parameters().rows())

    @covers("connection_set_keepalive")
    def test_who_falls_silent_is_missed(self, connection: Connection) -> None:
        assert connection.set_keepalive(5, 3) in (True, False)
        assert connection.is_alive()

    @covers("connection_node_info")
    def test_the_host_has_processors_and_memory(self, connection: Connection) -> None:
        node = connection.node_info()
        assert node.model
        assert node.memory > 0
        assert 0 < node.cpus <= node.nodes * node.sockets * node.cores * node.threads

    @covers("connection_node_cpu_map")
    def test_processors_that_are_online_are_there(self, connection: Connection) -> None:
        found = connection.node_cpu_map()
        assert 0 < found.online <= found.present
        assert len(found.cpumap) == found.online

    @covers("connection_node_cpu_stats")
    def test_processors_spend_time(self, connection: Connection, target: Target) -> None:
        everyone = connection.node_cpu_stats()
        assert everyone
        assert all(value >= 0 for value in everyone.values())
        with refused(target, "connection_node_cpu_stats"):
            connection.node_cpu_stats(1 << 20)

    @covers("connection_node_memory_stats")
    def test_memory_is_divided(self, connection: Connection) -> None:
        found = connection.node_memory_stats()
        assert 0 <= found["free"] <= found["total"]
        with pytest.raises(errors.VirtError):
            connection.node_memory_stats(1 << 20)

    @covers("connection_node_cells_free_memory")
    def test_cells_have_free_memory(self, connection: Connection) -> None:
        assert all(free >= 0 for free in connection.node_cells_free_memory())
        with pytest.raises(errors.VirtError):
            connection.node_cells_free_memory(1 << 20)

    @covers("connection_node_free_pages")
    def test_a_page_size_that_is_not_has_no_free_pages(self, connection: Connection, target: Target) -> None:
        with refused(target, "connection_node_free_pages"):
            connection.node_free_pages([3])

    @covers("connection_node_free_memory")
    def test_free_memory_is_a_size(self, connection: Connection) -> None:
        assert connection.node_free_memory() >= 0

    @covers("connection_security_model")
    def test_the_security_model_has_a_name_or_none(self, connection: Connection) -> None:
        model = connection.security_model()
        assert model.model or not model.doi

    @covers("connection_domain_capabilities")
    def test_domain_capabilities_are_a_document(self, connection: Connection) -> None:
        from lxml import etree

        assert etree.fromstring(connection.domain_capabilities()).tag == "domainCapabilities"
        with pytest.raises(errors.InvalidArg):
            connection.domain_capabilities(arch="abacus")

    @covers("connection_xml_from_native")
    def test_formats_that_nobody_knows_are_refused(self, connection: Connection) -> None:
        with pytest.raises(errors.InvalidArg, match="unsupported config type compliance"):
            connection.xml_from_native("compliance", "")

    @covers("connection_xml_to_native")
    def test_formats_that_nobody_knows_are_not_written(self, connection: Connection, target: Target) -> None:
        with pytest.raises(errors.InvalidArg, match="unsupported config type compliance"):
            connection.xml_to_native("compliance", target.domain("compliance"))

    @covers("connection_max_vcpus")
    def test_guests_may_have_processors(self, connection: Connection) -> None:
        assert connection.max_vcpus() > 0

    def test_it_closes_for_good(self, uri: str) -> None:
        connection = virtcore.connect(uri)
        connection.close()
        connection.close()
        with pytest.raises(errors.InvalidConn):
            connection.type()

    @covers("connection_uri")
    @needs("connection_list_domains")
    def test_its_uri_opens_the_same(self, connection: Connection) -> None:
        with virtcore.connect(connection.uri()) as again:
            assert again.list_domains() == connection.list_domains()

    def test_what_it_does_not_claim_it_refuses(self, connection: Connection) -> None:
        from virtcore.operations.declare import all_operations

        claimed = [name for name in all_operations() if connection.supports(name)]
        assert claimed, "the driver claims nothing"
        for name, operation in all_operations().items():
            if operation.family == "connection" and name not in claimed and not _arguments(operation):
                with pytest.raises(errors.NoSupport):
                    getattr(connection, operation.face_name)()


def _arguments(operation: Operation) -> bool:
    """Whether an operation must be given something."""
    parameters = list(operation.signature.parameters.values())[1:]
    return bool(operation.keys) or any(parameter.default is parameter.empty for parameter in parameters)
