"""What is public says what it takes and gives, with an example. (The examples run as doctests.)"""

import ast
import importlib
import inspect
import textwrap

import pytest

PACKAGES = (
    *("densefn", "densefn.activations", "densefn.constraints", "densefn.data", "densefn.export", "densefn.forms"),
    *("densefn.initializers", "densefn.regularizers", "densefn.training"),
)


def public():
    """Functions and classes of two arguments or more, each once."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in dir(module):
            given = getattr(module, name)
            is_ours = getattr(given, "__module__", "").startswith("densefn")
            if (
                name[0] != "_"
                and is_ours
                and (inspect.isfunction(given) or inspect.isclass(given))
                and arguments(given)
            ):
                found.setdefault(given, f"{package}.{name}")
    return [pytest.param(given, id=name) for given, name in found.items()]


def arguments(given):
    try:
        names = [name for name in inspect.signature(given).parameters if name != "self"]
    except ValueError:
        return []
    return names if len(names) > 1 else []


@pytest.mark.parametrize("given", public())
def test_arguments_results_errors_and_an_example_are_documented(given):
    is_class = inspect.isclass(given)
    # A class has the arguments of its bases.
    text = "\n".join(cls.__dict__.get("__doc__") or "" for cls in given.__mro__) if is_class else given.__doc__
    missing = [name for name in arguments(given) if f"{name}:" not in text]
    if is_class and issubclass(given, Exception):
        return
    assert not missing
    assert "Args:" in text or (is_class and "Attributes:" in text)
    is_made_by_users = not is_class or ("Args:" in given.__doc__ and not inspect.isabstract(given))
    assert ">>> " in given.__doc__ or not is_made_by_users
    if not is_class:
        body = ast.parse(textwrap.dedent(inspect.getsource(given)))
        raises = any(isinstance(node, ast.Raise) for node in ast.walk(body))
        assert "Raises:" in text or not raises
        assert "Returns:" in text or inspect.signature(given).return_annotation in (None, "None")
