"""What the business said it must do. The same tests in CI, at the gate and in production."""

import json
import shutil
import subprocess
import urllib.request

import pytest

pytestmark = pytest.mark.acceptance(of="orders")


@pytest.mark.acceptance(of="orders", id="a number can be ordered")
def test_a_number_can_be_ordered(base_url, account):
    """Somebody with a test account orders each tariff and gets a number."""
    for tariff in ("basic", "flat", "business"):
        order = {"tariff": tariff, "customer": account("tester").user}
        asked = urllib.request.Request(
            f"{base_url}/orders", json.dumps(order).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert json.load(answer)["number"].startswith("+49")


@pytest.mark.acceptance(of="orders", id="the price is on the page")
def test_the_price_is_on_the_page(base_url):
    """The page shows what a tariff costs, in a real browser where there is one."""
    page = f"{base_url}/?tariff=flat"
    browser = shutil.which("chromium")
    if browser:
        asked = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page]
        text = subprocess.run(asked, capture_output=True, text=True, timeout=25, check=True).stdout
    else:
        with urllib.request.urlopen(page, timeout=5) as answer:
            text = answer.read().decode()
    assert "flat: 19.90 EUR a month" in text
