"""The sign-in page, which strangers and browsers that were sent here see."""

from web.login_page import LoginPage

PAGE = LoginPage(style="/assets/pages.css", company="/api/v1/session/openid", company_label="Example ID")


def test_the_identity_provider_has_a_button_that_leads_on_to_the_page_that_was_wanted() -> None:
    page = bytes(PAGE.shown("/tests/a?b=c&d").body).decode()
    assert 'href="/api/v1/session/openid?next=/tests/a%3Fb%3Dc%26d"' in page
    assert "Sign in with Example ID" in page
    assert "Sign in with" not in bytes(LoginPage(style="/x.css").shown().body).decode()


def test_a_refusal_is_said_on_the_page_as_text() -> None:
    answer = PAGE.refused(403, "signing in did not work: <script>alert(1)</script>")
    page = bytes(answer.body).decode()
    assert answer.status_code == 403
    assert "Signing in did not work: &lt;script&gt;alert(1)&lt;/script&gt;." in page
    assert "<script>alert" not in page
    assert answer.headers["cache-control"] == "no-store"
