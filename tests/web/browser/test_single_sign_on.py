"""Single sign-on with a provider that others wrote, on another site, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from tests.pipe.running import running
from tests.web.browser.conftest import CONFIG, LOGIN, House, begin
from tests.web.signin.providers import SECRET, provider

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIGN_IN = """
sign_in:
  providers:
    gov: {{issuer: "{issuer}", client_id: pipe, client_secret: "${{env:OIDC_SECRET}}", label: "ID провайдера",
           networks: ["127.0.0.0/8", "::1/128"]}}
"""


async def vouched(page: Page, login: str) -> None:
    """Signs in at the provider and agrees."""
    await page.get_by_role("link", name="Увійти через ID провайдера").click()
    await page.locator("[name=login]").fill(login)
    await page.locator("[name=password]").fill("anything")
    await page.locator("[type=submit]").first.click()
    await page.locator("[type=submit]").first.click()


@pytest.mark.key("sign_in.providers", "sign_in.providers.issuer", "sign_in.providers.client_id")
@pytest.mark.key("sign_in.providers.client_secret", "sign_in.providers.label", "sign_in.providers.networks")
async def test_a_provider_on_another_site_lets_known_people_in(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out and back over `localhost`, another site than 127.0.0.1; who is unknown, or not verified, is told so."""
    folder = tmp_path_factory.mktemp("single")
    (folder / "box").mkdir()
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    config = folder / "c.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    async with running(config) as gateway:
        house = House(gateway, chromium)
        async with provider(f"{house.address}/login/back/gov") as issuer:
            config.write_text(CONFIG + SIGN_IN.format(issuer=issuer), encoding="utf-8")
            await gateway.apply(gateway.read_configuration(), "test")
            context = await house.visitor()
            page = await context.new_page()
            password = gateway.staff.first_password
            assert password is not None
            await begin(page, password)
            await context.clear_cookies()
            await page.goto("/admin/people")
            await vouched(page, "unverified@ukc.gov.ua")
            await page.get_by_role("heading", name="Вас тут ще не знають").wait_for()
            await context.clear_cookies()
            await page.goto("/admin/people")
            await vouched(page, LOGIN)
            await page.wait_for_url("**/admin/people")
            await page.goto("/me")
            assert await page.get_by_role("heading", level=1).inner_text() == "Мій обліковий запис"
            await context.close()
