from __future__ import annotations

from kt_tuning.finalize.markdown import bullets, code, plain, table


def test_markup_of_users_is_shown_as_it_is():
    assert plain("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert plain("a|b *c* _d_ [e](f) `g` #h") == (r"a\|b \*c\* \_d\_ \[e\](f) \`g\` \#h")
    assert plain("two\nlines") == "two lines"


def test_code_has_a_fence_longer_than_any_inside():
    assert code("val_accuracy") == "`val_accuracy`"
    assert code("a``b") == "``` a``b ```"


def test_a_list_and_a_table():
    assert bullets(["a", "b"]) == "- a\n- b"
    assert table(("name", "n"), [("x|y", 3)]) == "| name | n |\n| --- | --: |\n| x\\|y | 3 |"
