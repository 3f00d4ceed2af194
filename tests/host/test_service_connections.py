"""Connections to one service: what libvirt's daemons of one driver each offer."""

from __future__ import annotations

import os

import pytest

import virtcore
from toyservice import DEFAULT, ToyNetworks
from virtcore.driver import loader
from virtcore.driver.loader import registered_service
from virtcore.errors import InternalError, InvalidArg, NoConnect, NoSupport
from virtcore.operations.events import DomainLifecycleEvent, SecretLifecycleEvent

SERVICES = ("interface", "network", "nodedev", "nwfilter", "secret", "storage")


@pytest.fixture
def networks():
    ToyNetworks.instances.clear()
    with registered_service("network", ToyNetworks):
        yield ToyNetworks


def test_it_has_its_service_and_no_other(networks, tmp_path):
    with virtcore.connect(f"network:///embed?root={tmp_path}") as connection:
        assert connection.type() == "network"
        assert [network.ref for network in connection.list_networks()] == [DEFAULT]
        assert connection.supports("network_create")
        assert not connection.supports("connection_list_secrets")
        assert (connection.is_alive(), connection.is_secure(), connection.is_encrypted()) == (True, True, False)
        with pytest.raises(NoSupport, match="virConnectListAllDomains"):
            connection.list_domains()
        with pytest.raises(NoSupport, match="virConnectListAllSecrets"):
            connection.list_secrets()
        (instance,) = networks.instances
        assert instance.place.root == str(tmp_path)


def test_its_events_are_the_only_ones(tmp_path):
    with virtcore.connect(f"secret:///embed?root={tmp_path}") as connection:
        with connection.events() as events:
            connection.define_secret("<secret ephemeral='yes'/>")
            assert isinstance(events.get(60), SecretLifecycleEvent)
        with pytest.raises(NoSupport):
            connection.events(DomainLifecycleEvent)


def test_it_is_what_connections_of_the_hypervisors_have(tmp_path):
    root = f"embed?root={tmp_path}"
    with virtcore.connect(f"secret:///{root}") as ours, virtcore.connect(f"qemu:///{root}") as theirs:
        secret = ours.define_secret("<secret ephemeral='yes'/>")
        assert theirs.list_secrets() == [theirs.secret(secret.ref)]


@pytest.mark.parametrize("service", SERVICES)
def test_each_is_there_by_its_name(service):
    cls = loader.driver_for(virtcore.ConnectionURI.parse(f"{service}:///system"))
    assert (cls.name, cls.wanted_services) == (service, {service})


def test_paths_are_those_of_the_daemons(networks, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InternalError, match=r"unexpected network URI path ./foo., try network:///system$"):
        virtcore.connect("network:///foo")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InternalError, match=r"unexpected network URI path ./system., try network:///session\n"):
        virtcore.connect("network:///system")
    with pytest.raises(InternalError, match=r"unexpected nwfilter URI path '/session', try nwfilter:///system\n"):
        virtcore.connect("nwfilter:///session")
    with pytest.raises(InvalidArg, match="Missing URI parameter 'root'"):
        virtcore.connect("network:///embed")


def test_a_service_that_is_not_installed_is_not_pretended(monkeypatch, tmp_path):
    monkeypatch.setattr(loader, "service_names", frozenset)
    with pytest.raises(NoConnect) as caught:
        virtcore.connect(f"nodedev:///embed?root={tmp_path}")
    assert "no installed distribution has the service 'nodedev'" in caught.value.__notes__
