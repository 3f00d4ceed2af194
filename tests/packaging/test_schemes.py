"""A URI whose scheme has no driver yet says which distribution will serve it."""

from __future__ import annotations

import pytest

from virtcore._schemes import DISTRIBUTIONS
from virtcore.driver import loader
from virtcore.errors import NoConnect
from virtcore.uri import ConnectionURI

WAITING = sorted((plugin.name, plugin.distribution) for plugin in loader.installed(loader.SCHEMES))


@pytest.mark.parametrize(("scheme", "distribution"), WAITING)
def test_a_scheme_without_a_driver_says_who_will_serve_it(scheme: str, distribution: str) -> None:
    assert DISTRIBUTIONS.get(scheme, distribution) == distribution
    with pytest.raises(NoConnect) as caught:
        loader.driver_for(ConnectionURI.parse(f"{scheme}://host.example/system"))
    assert f"scheme '{scheme}' will be served by {distribution}, but is not yet" in str(caught.value)


def test_a_scheme_that_nobody_knows_names_no_distribution() -> None:
    with pytest.raises(NoConnect) as caught:
        loader.driver_for(ConnectionURI.parse("nosuch:///system"))
    assert "virt-" not in str(caught.value)
    assert "no installed distribution serves scheme 'nosuch'" in caught.value.__notes__
