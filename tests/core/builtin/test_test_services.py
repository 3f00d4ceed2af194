"""Interfaces, secrets and network filters of test:///default."""

from __future__ import annotations

import pytest

import virtcore
from virtcore.enums import ConnectListAllInterfacesFlags, ConnectListAllSecretsFlags, SecretUsageType
from virtcore.errors import (
    InternalError,
    InvalidArg,
    InvalidSecret,
    MultipleInterfaces,
    NoInterface,
    NoNWFilter,
    NoNWFilterBinding,
    NoSecret,
    OperationDenied,
    OperationFailed,
    OperationInvalid,
)

UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "21111111-2222-4333-8444-555555555555"
ETH2 = "<interface type='ethernet' name='eth2'><start mode='none'/><mac address='aa:bb:cc:dd:ee:ff'/></interface>"


@pytest.fixture
def connection():
    with virtcore.connect("test:///default") as connection:
        yield connection


class TestInterfaces:
    def test_the_default_interface(self, connection):
        [interface] = connection.list_interfaces()
        assert (interface.name, interface.mac) == ("eth1", "aa:bb:cc:dd:ee:ff")
        assert interface.is_active()
        assert "<mtu size='1492'/>" in interface.xml()
        assert connection.lookup_interface(mac="AA:BB:cc:dd:ee:ff") == interface

    def test_life(self, connection):
        interface = connection.define_interface(ETH2)
        assert connection.list_interfaces(ConnectListAllInterfacesFlags.INACTIVE) == [interface]
        with pytest.raises(MultipleInterfaces):
            connection.lookup_interface(mac="aa:bb:cc:dd:ee:ff")
        interface.create()
        with pytest.raises(OperationInvalid):
            interface.create()
        interface.destroy()
        with pytest.raises(OperationInvalid):
            interface.destroy()
        interface.undefine()
        with pytest.raises(NoInterface, match="no interface with matching name 'eth2'"):
            interface.xml()

    def test_changes_can_be_taken_back(self, connection):
        with pytest.raises(OperationInvalid, match="no transaction running, nothing to rollback"):
            connection.interface_rollback()
        connection.interface_begin()
        with pytest.raises(OperationInvalid, match="there is another transaction running"):
            connection.interface_begin()
        connection.define_interface(ETH2)
        connection.lookup_interface(name="eth1").destroy()
        connection.interface_rollback()
        assert [(one.name, one.is_active()) for one in connection.list_interfaces()] == [("eth1", False)]
        connection.interface_begin()
        connection.define_interface(ETH2)
        connection.interface_commit()
        with pytest.raises(OperationInvalid, match="no transaction running, nothing to be committed"):
            connection.interface_commit()
        assert len(connection.list_interfaces()) == 2


class TestSecrets:
    def define(self, connection, uuid=UUID, name="pool", **attributes):
        words = "".join(f" {key}='{value}'" for key, value in attributes.items())
        usage = f"<usage type='ceph'><name>{name}</name></usage>"
        return connection.define_secret(f"<secret{words}><uuid>{uuid}</uuid>{usage}</secret>")

    def test_life(self, connection):
        secret = self.define(connection)
        assert (secret.uuid, secret.usage_type, secret.usage_id) == (UUID, SecretUsageType.CEPH, "pool")
        assert connection.lookup_secret(usage_type=SecretUsageType.CEPH, usage_id="pool") == secret
        with pytest.raises(NoSecret, match=f"secret '{UUID}' does not have a value"):
            secret.value()
        secret.set_value(b"\0secret")
        assert secret.value() == b"\0secret"
        assert "secret'" not in secret.xml()
        self.define(connection)
        assert secret.value() == b"\0secret"
        secret.undefine()
        with pytest.raises(NoSecret, match=f"no secret with matching uuid '{UUID}'"):
            secret.xml()

    def test_refusals(self, connection):
        private = self.define(connection, private="yes")
        private.set_value(b"x")
        with pytest.raises(InvalidSecret, match="secret is private"):
            private.value()
        with pytest.raises(InternalError, match="cannot change private flag on existing secret"):
            self.define(connection, private="no")
        with pytest.raises(InternalError, match=f"a secret with UUID {UUID} already defined for use with pool"):
            self.define(connection, OTHER)
        with pytest.raises(InternalError, match=f"a secret with UUID {UUID} is already defined for use with pool"):
            self.define(connection, name="other")
        with pytest.raises(InvalidArg):
            private.set_value("text")
        assert connection.list_secrets(ConnectListAllSecretsFlags.PRIVATE) == [private]
        assert connection.list_secrets(ConnectListAllSecretsFlags.NO_PRIVATE) == []

    def test_values_never_show(self, connection):
        secret = self.define(connection)
        secret.set_value(b"hunter2")
        assert "hunter2" not in repr(secret)
        with virtcore.connect("test:///default", readonly=True) as readonly, pytest.raises(OperationDenied):
            readonly.lookup_secret(uuid=UUID).value()


class TestFilters:
    def test_life(self, connection):
        rule = "<rule action='drop' direction='in'/>"
        base = connection.define_nwfilter(f"<filter name='base'><uuid>{UUID}</uuid>{rule}</filter>")
        user = connection.define_nwfilter(
            f"<filter name='user'><uuid>{OTHER}</uuid><filterref filter='base'/></filter>"
        )
        assert connection.list_nwfilters() == [base, user]
        binding = connection.create_nwfilter_binding(BINDING)
        assert (binding.port_dev, binding.filter_name) == ("vnet0", "user")
        assert "<portdev name='vnet0'/>" in binding.xml()
        for used in (base, user):
            with pytest.raises(OperationInvalid, match="nwfilter is in use"):
                used.undefine()
        with pytest.raises(OperationFailed, match="binding 'vnet0' already exists"):
            connection.create_nwfilter_binding(BINDING)
        with pytest.raises(OperationFailed, match="filter would introduce a loop"):
            connection.define_nwfilter(f"<filter name='base'><uuid>{UUID}</uuid><filterref filter='user'/></filter>")
        assert "<rule action='drop'" in base.xml()
        binding.delete()
        with pytest.raises(NoNWFilterBinding, match="no nwfilter binding for port dev 'vnet0'"):
            binding.xml()
        base.undefine()
        with pytest.raises(NoNWFilter, match=r"no nwfilter with matching uuid '[^']*'$"):
            base.xml()

    def test_identities_are_unique(self, connection):
        connection.define_nwfilter(f"<filter name='one'><uuid>{UUID}</uuid></filter>")
        with pytest.raises(OperationFailed, match=r"filter with same UUID but different name \('one'\) already exists"):
            connection.define_nwfilter(f"<filter name='two'><uuid>{UUID}</uuid></filter>")
        with pytest.raises(OperationFailed, match=f"filter 'one' already exists with uuid {UUID}"):
            connection.define_nwfilter(f"<filter name='one'><uuid>{OTHER}</uuid></filter>")


BINDING = f"""<filterbinding>
  <owner><name>guest</name><uuid>{UUID}</uuid></owner>
  <portdev name='vnet0'/><mac address='52:54:00:00:00:01'/>
  <filterref filter='user'/>
</filterbinding>"""
