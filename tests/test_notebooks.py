"""The notebooks run from top to bottom, find what was put into their images, and keep no output."""

import ast
import re

import pytest
from notebooks import NOTEBOOKS, cells, read, run


def by_name(notebook):
    return notebook.stem


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_a_notebook_is_of_the_format_and_holds_no_output(notebook):
    """That of nbformat 4.5, whose schema asks for these entries."""
    found = read(notebook)
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in found["cells"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    for cell in found["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
            ast.parse("".join(cell["source"]))
        assert cell.keys() == wanted


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_what_a_notebook_links_to_is_there(notebook):
    targets = re.findall(r"\]\(([^)]+)\)", "\n".join(cells(notebook, "markdown")))
    assert targets
    for target in targets:
        assert (notebook.parent / target.partition("#")[0]).is_file(), target


@pytest.mark.process
def test_the_audit_finds_the_tag(tmp_path):
    (notebook,) = (one for one in NOTEBOOKS if one.stem == "audit_my_model")
    done = run(cells(notebook, "code"), tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(
        re.findall(r"^(full|outside shuffled|outside only) +AUC ([0-9.]+)", done.stdout, re.MULTILINE)
    )
    assert float(rows["outside only"]) > 0.8
    assert float(rows["full"]) - float(rows["outside shuffled"]) > 0.15
    assert (tmp_path / "audit/index.html").is_file()


@pytest.mark.process
def test_the_dicom_folder_is_trained_on_and_no_file_is_left_out(tmp_path):
    (notebook,) = (one for one in NOTEBOOKS if one.stem == "my_dicom_folder")
    done = run(cells(notebook, "code"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "48 images, 48 masks; classes: {'normal': 0, 'abnormal': 1}" in done.stdout
    assert "left out" not in done.stdout
    assert len(re.findall(r"^(?:plain|actdiff) +test AUC", done.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"of the map inside the masks, \d+% by chance", done.stdout)) == 2


@pytest.mark.process
def test_a_notebook_that_fails_is_seen_to(tmp_path):
    done = run(["a = 1", "print(a)\nb = a / 0"], tmp_path)
    assert done.returncode != 0
    assert done.stdout == "1\n"
    assert 'File "cell 2", line 2' in done.stderr
