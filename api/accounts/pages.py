"""The pages behind the links in mails: plain HTML that needs no script and loads nothing.

A link opens a page with a button, and only the button changes anything: mail scanners follow
links, but do not submit forms. Opening a page makes no query, so it reveals nothing about a token.
"""

from html import escape

from api.accounts.passwords import LENGTH_MAX, LENGTH_MIN
from api.http.responses import NO_STORE, Response

POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
_HTML = b"text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1.1rem/1.5 system-ui; max-width: 30rem; margin: 4rem auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .5rem 1rem }}</style>
<h1>{title}</h1>
{content}
</html>
"""


def password_page(title: str, token: str) -> Response:
    """A form for a new password."""
    form = f"""<form method="post">
<input type="hidden" name="token" value="{escape(token)}">
<p><label>Password, at least {LENGTH_MIN} characters<br>
<input type="password" name="password" autocomplete="new-password" required
 minlength="{LENGTH_MIN}" maxlength="{LENGTH_MAX}"></label></p>
<button>Set the password</button>
</form>"""
    return _page(title, form)


def message_page(title: str, text: str, status: int = 200) -> Response:
    """A page that reports the result."""
    return _page(title, f"<p>{escape(text)}</p>", status)


def _page(title: str, content: str, status: int = 200) -> Response:
    body = _PAGE.format(title=escape(title), content=content).encode()
    return Response(body, (NO_STORE,), status, _HTML, POLICY)
