"""The policy file: access control without any service, for local and remote clients alike.

It is TOML. The first rule that fits decides; what none decides is as ``default`` says::

    default = "deny"                        # or "allow", which is the default

    [[rule]]
    allow = ["connect:*", "domain:getattr", "domain:read"]

    [[rule]]
    users = ["alice"]                       # login name or uid of a local client
    groups = ["ops"]                        # group of a local client
    sasl = ["fred@*"]                       # who authenticated by SASL
    dn = ["C=GB,*,CN=laptop"]               # distinguished name in a client's certificate
    drivers = ["QEMU"]                      # of what kind of hypervisor
    objects = ["web-*", "6695eb01-*"]       # names or UUIDs
    allow = ["domain:*"]

    [[rule]]
    deny = ["domain:open-graphics"]

A rule allows or denies. Of ``users``, ``groups``, ``sasl`` and ``dn`` one has to fit, where any is given; ``drivers``
and ``objects`` have to fit where they are given. All are patterns as of a shell; permissions are libvirt's
``OBJECT:PERMISSION``, with ``*`` for all.
"""

from __future__ import annotations

import fnmatch
import functools
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from virtcore._tuples import NamedTuple
from virtcore.errors import ConfSyntax
from virtcore.operations.procedures import program

if TYPE_CHECKING:
    from virt_remote.server.access import Request

__all__ = ["Policy", "permissions"]

_CLIENT: Final = ("users", "groups", "sasl", "dn")
_KEYS: Final = frozenset([*_CLIENT, "drivers", "objects", "allow", "deny"])


@functools.cache
def permissions() -> frozenset[str]:
    """Every permission there is, as ``OBJECT:PERMISSION``."""
    return frozenset(
        f"{right.object}:{right.permission}"
        for name in ("remote", "qemu", "lxc")
        for row in program(name).procedures()
        for right in (*row.permissions, *row.filters)
    )


class _Rule(NamedTuple):
    allows: bool
    permissions: frozenset[str]
    users: tuple[str, ...]
    groups: tuple[str, ...]
    sasl: tuple[str, ...]
    dn: tuple[str, ...]
    drivers: tuple[str, ...]
    objects: tuple[str, ...]

    def fits(self, request: Request) -> bool:
        if f"{request.object}:{request.permission}" not in self.permissions:
            return False
        if self.drivers and not _any(self.drivers, request.driver):
            return False
        if self.objects and not any(_any(self.objects, text) for text in _texts(request.subject)):
            return False
        if not (self.users or self.groups or self.sasl or self.dn):
            return True
        who = request.identity
        return (
            (who.uid is not None and (_any(self.users, who.user) or str(who.uid) in self.users))
            or (bool(self.groups) and any(_any(self.groups, group) for group in who.groups))
            or _any(self.sasl, who.sasl)
            or _any(self.dn, who.dname)
        )


def _any(patterns: tuple[str, ...], text: str | None) -> bool:
    return text is not None and any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _texts(subject: Any) -> list[str]:
    """What identifies an object: its name, UUID, key, ..."""
    return [part for part in subject or () if isinstance(part, str) and part]


class Policy:
    """The access driver ``policy``."""

    name = "policy"

    def __init__(self, rules: tuple[_Rule, ...], default: bool) -> None:
        self._rules = rules
        self._default = default

    @classmethod
    def parse(cls, text: str, source: str) -> Policy:
        """Read a policy.

        :param source: what errors call it.
        :raises ConfSyntax: it makes no sense; a policy is never used in part.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfSyntax(f"{source}: {error}") from None
        default = data.pop("default", "allow")
        rules = data.pop("rule", [])
        if default not in ("allow", "deny"):
            raise ConfSyntax(f'{source}: \'default\' is to be "allow" or "deny"')
        if data:
            raise ConfSyntax(f"{source}: unknown setting '{min(data)}'")
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise ConfSyntax(f"{source}: 'rule' is to be a list of tables")
        return cls(tuple(_rule(rule, f"{source}: rule {at}") for at, rule in enumerate(rules, 1)), default == "allow")

    async def allows(self, request: Request) -> bool:
        """Whether the first rule that fits, or else the default, allows it."""
        for rule in self._rules:
            if rule.fits(request):
                return rule.allows
        return self._default


def _rule(data: Mapping[str, Any], source: str) -> _Rule:
    unknown = set(data) - _KEYS
    if unknown:
        raise ConfSyntax(f"{source}: unknown setting '{min(unknown)}'")
    if ("allow" in data) == ("deny" in data):
        raise ConfSyntax(f"{source}: it has to allow or to deny")
    lists: dict[str, tuple[str, ...]] = {}
    for key, value in data.items():
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise ConfSyntax(f"{source}: '{key}' is to be a list of strings")
        lists[key] = tuple(value)
    rights: set[str] = set()
    for pattern in lists["allow" if "allow" in data else "deny"]:
        found = fnmatch.filter(permissions(), pattern.replace("-", "_"))
        if not found:
            raise ConfSyntax(f"{source}: there is no permission '{pattern}'")
        rights |= set(found)
    given = {key: lists.get(key, ()) for key in (*_CLIENT, "drivers", "objects")}
    return _Rule("allow" in data, frozenset(rights), **given)
