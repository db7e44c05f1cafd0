"""What is said of the machine and its packages."""

from __future__ import annotations

import importlib.metadata

from pipelines.registration import machine


def test_every_installed_package_is_listed_by_its_normal_name() -> None:
    found = machine.packages()
    assert found["keras"] == importlib.metadata.version("keras")
    assert {"scikit-learn", "ruamel-yaml"} <= found.keys()
    assert list(found) == sorted(found)


def test_the_machine_says_what_bits_depend_on() -> None:
    found = machine.describe()
    assert found.keys() == {"processor", "cores", "platform", "python"}
    assert all(found.values())
