from __future__ import annotations

from markupsafe import Markup

from kt_tuning.finalize.model_card import code, escape_markdown


def test_markup_of_users_is_shown_as_it_is():
    assert escape_markdown("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert escape_markdown("a|b *c* _d_ [e](f) `g` #h") == (r"a\|b \*c\* \_d\_ \[e\](f) \`g\` \#h")
    assert escape_markdown("two\nlines") == "two lines"


def test_markup_is_not_escaped_twice():
    assert escape_markdown(Markup("a\\|b")) == "a\\|b"


def test_code_has_a_fence_longer_than_any_inside():
    assert code("val_accuracy") == "`val_accuracy`"
    assert code("a``b") == "``` a``b ```"
