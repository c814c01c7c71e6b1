"""Every test of the rebalancer gets a paper broker of its own, which rejects nothing by chance."""

import pytest

from rebalancer.brokers import paper


@pytest.fixture(autouse=True)
def own_paper_broker(settings, tmp_path, monkeypatch):
    settings.PAPER_BROKER_PATH = tmp_path / "paper_broker.sqlite3"
    monkeypatch.setattr(paper, "REJECT_SHARE", 0.0)
