"""Every task type from its example to its pages: what a person downloads can be sent, published and looked at."""

import re

import pytest

from app.core.task_types import TASK_TYPES
from app.services import demo
from app.settings import Settings
from tests.conftest import Browser
from tests.upload_flow import get, sent, text_of, validate

KINDS = {
    "Retrieval": ("Queries", "Documents"),
    "Reranking": ("Queries", "Documents"),
    "InstructionRetrieval": ("Queries", "Documents"),
    "InstructionReranking": ("Queries", "Documents", "What the changed instructions make irrelevant"),
    "STS": ("Pairs",),
    "Summarization": ("Texts",),
    "PairClassification": ("Pairs",),
    "Classification": ("Training texts", "Test texts"),
    "MultilabelClassification": ("Training texts", "Test texts"),
    "Regression": ("Training texts", "Test texts"),
    "Clustering": ("Texts",),
    "BitextMining": ("Pairs",),
}


@pytest.mark.parametrize("name", TASK_TYPES)
def test_an_example_becomes_a_dataset_with_all_its_pages(as_member: Browser, settings: Settings, name: str) -> None:
    (file_name,) = (file_name for file_name, form in demo.DATASETS.items() if form.task_type == name)
    content = as_member.get(f"/datasets/examples/{file_name}").content
    report = sent(as_member, content, file_name, name=f"Our {name}", task_type=name)
    assert validate(settings) == 1
    page = get(as_member, report)
    assert "The file is well." in page
    assert re.findall(r"<h3>(.*?)</h3>", page) == list(KINDS[name])
    (counted,) = re.findall(r"Publish ([^<]+)</button>", page)
    address = as_member.post_form(f"{report}/publish").headers["location"]
    shown = text_of(get(as_member, address))
    assert counted in shown
    assert f"Task type {name} Main metric {TASK_TYPES[name].main_metric}" in shown
    assert re.findall(r"<h3>(.*?)</h3>", get(as_member, f"{address}/rows")) == list(KINDS[name])
    assert f"Our {name} {name}" in text_of(get(as_member, "/datasets"))
