"""Using the console in a browser."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from .console import AIRFLOW, URL, Console, log_in

BROKEN = "from airflow import DAG\n\nx = 1\nDAG('bad', schedule=nothing)\n"
#: With SQLite Airflow 2 runs one task at a time, and starts an Airflow for each.
RUNS_MS = 150_000


def test_airflows_menu_opens_the_console_after_its_login(page: Page) -> None:
    page.goto(f"{URL}/")
    log_in(page, "admin")
    if AIRFLOW < (3, 0):
        page.get_by_text("Admin", exact=True).first.hover()
        page.get_by_role("link", name="Native API").click()
        console = page.main_frame
    elif AIRFLOW < (3, 1):
        # Its pages have taken the session's cookie away by now, and open the link in a window of its own.
        page.get_by_role("button", name="Plugins").click()
        page.get_by_text("Admin", exact=True).last.hover()
        with page.context.expect_page() as opened:
            page.get_by_text("Native API", exact=True).click()
        console = opened.value.main_frame
    else:
        page.get_by_role("button", name="Admin").click()
        page.get_by_text("Native API", exact=True).click()
        console = page.frame_locator("iframe[title='Native API']").owner.element_handle().content_frame()
    expect(console.get_by_role("heading", name="Native API", level=1)).to_be_visible()
    expect(console.get_by_text("admin · Airflow")).to_be_visible()
    console.locator("#operations a[href='#pause_dag']").click()
    console.get_by_label("dag_id required").fill("others")
    console.get_by_role("button", name="Pause DAG…").click()
    console.locator("dialog").get_by_role("button", name="Pause DAG").click()
    expect(console.locator(".output .badge").first).to_have_text("200 OK")


def test_a_browser_without_a_session_logs_in_and_comes_back(page: Page) -> None:
    page.goto(f"{URL}/admin/rest_api/")
    page.wait_for_url(lambda url: "login" in url)
    log_in(page, "viewer")
    page.wait_for_url(f"{URL}/admin/rest_api/")
    expect(page.get_by_text("viewer · Airflow")).to_be_visible()


def test_a_link_opens_its_form_after_the_login(page: Page) -> None:
    """The arguments are behind the # of its address, which no server sees."""
    page.goto(f"{URL}/native_api/#trigger_dag?dag_id=two_tasks&run_id=a%20b")
    page.wait_for_url(lambda url: "login" in url)
    log_in(page, "admin")
    page.wait_for_url(lambda url: url.startswith(f"{URL}/native_api/"))
    expect(page.get_by_role("heading", name="Trigger DAG", level=1)).to_be_visible()
    expect(page.get_by_label("dag_id required")).to_have_value("two_tasks")
    expect(page.get_by_label("run_id", exact=True)).to_have_value("a b")
    page.goto(f"{URL}/native_api/#")
    page.reload()
    expect(page.get_by_role("heading", name="Native API", level=1)).to_be_visible()


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 has no CSRF tokens")
def test_a_csrf_token_that_has_expired_is_replaced(admin: Console) -> None:
    page, statuses = admin.open("pause_dag", dag_id="others").page, []
    page.on("response", lambda response: statuses.append(response.status) if "/v1/pause_dag" in response.url else None)

    def expire(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "x-csrftoken": "expired"})

    page.route("**/v1/pause_dag", expire, times=1)
    expect(admin.send().locator(".badge").first).to_have_text("200 OK")
    assert statuses == [403, 200]


def test_a_dag_is_triggered_with_the_keyboard(admin: Console) -> None:
    """The picker asks the API while one types."""
    page = admin.open("trigger_dag").page
    admin.field("dag_id").press_sequentially("noi")
    option = page.get_by_role("option", name="noisy")
    expect(option).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(admin.field("dag_id")).to_have_value("noisy")
    admin.field("conf").fill('{"a": }')
    expect(page.locator(".has-error")).to_contain_text("This is not JSON")
    admin.field("conf").fill('{"a": "<b>"}')
    expect(page.locator(".has-error")).to_have_count(0)
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Trigger DAG…").press("Enter")
    expect(page.locator("dialog")).to_contain_text("This changes Airflow's metadata database.")
    page.locator("dialog").get_by_role("button", name="Trigger DAG").press("Enter")
    expect(admin.output.locator(".badge").first).to_have_text("201 Created")
    expect(admin.output).to_contain_text("<b>")
    admin.open("unpause_dag", dag_id="noisy").send()


def test_the_call_is_shown_for_curl_python_and_the_command_line(admin: Console) -> None:
    page = admin.open("trigger_dag", dag_id="two_tasks", conf={"a": 1}).page
    snippet = page.locator(".snippet code:visible")
    expect(snippet).to_contain_text('-d \'{"dag_id":"two_tasks","conf":{"a":1}}\'')
    expect(snippet).to_contain_text("$AIRFLOW_TOKEN" if AIRFLOW >= (3, 0) else "$AIRFLOW_PASSWORD")
    page.get_by_role("tab", name="Python").click()
    expect(snippet).to_contain_text('native_api.call("trigger_dag", dag_id="two_tasks", conf={"a": 1})')
    page.get_by_role("tab", name="CLI").click()
    expect(snippet).to_contain_text("airflow dags trigger")


def test_an_alias_in_a_link_fills_the_argument(admin: Console) -> None:
    page = admin.open("backfill_dag", dag_id="dated", start_date="2024-01-02").page
    expect(admin.field("from_date")).to_have_value("2024-01-02")
    page.get_by_text("More arguments").click()
    expect(admin.field("subdir")).to_be_visible()
    expect(admin.field("start_date")).to_have_count(0)


def test_no_secret_is_in_a_link_or_a_command(admin: Console) -> None:
    page = admin.open("add_connection", conn_id="c", password="hunter2").page
    assert admin.field("password").input_value() == ""
    admin.field("password").fill("hunter2")
    expect(page.locator(".snippet code:visible")).to_contain_text("<password>")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == f"{URL}/native_api/#add_connection?conn_id=c"
    output = admin.send()
    expect(output.locator(".badge").first).to_have_text(re.compile("422|201"))
    expect(page.locator(".history")).not_to_contain_text("hunter2")


def test_the_progress_of_a_backfill_is_shown(admin: Console) -> None:
    admin.open("unpause_dag", dag_id="dated").send()
    page = admin.open("backfill_dag", dag_id="dated", from_date="2024-01-02", to_date="2024-01-03").page
    admin.send(dry=True)
    expect(admin.output).to_contain_text("This was a dry run: nothing was changed.")
    admin.output.get_by_role("button", name="Backfill DAG…").click()
    page.locator("dialog button.primary").click()
    progress = admin.output.locator(".progress")
    expect(progress).to_contain_text("Runs:")
    expect(progress.get_by_role("button", name="Cancel")).to_be_visible()
    expect(progress).to_contain_text(re.compile("success, 100 % done"), timeout=RUNS_MS)
    expect(progress.get_by_role("button", name="Cancel")).to_have_count(0)
    assert progress.get_by_role("progressbar").evaluate("bar => bar.value") == 1


def test_a_job_can_be_cancelled(admin: Console) -> None:
    page = admin.open("test_task", dag_id="tried", task_id="slow", logical_date="2024-01-02").page
    page.get_by_text("More arguments").click()
    admin.field("async").check()
    admin.send()
    page.locator(".progress").get_by_role("button", name="Cancel").click()
    page.locator("dialog button.danger").click()
    expect(page.locator(".progress")).to_contain_text("cancelled", timeout=60_000)


def test_a_task_that_fails_shows_its_log(admin: Console) -> None:
    output = admin.open("test_task", dag_id="broken", task_id="breaks", logical_date="2024-01-02").send()
    expect(output.get_by_role("alert")).to_contain_text("RuntimeError: This task fails.")
    expect(output.locator(".log")).to_contain_text("This task fails.")


def test_a_broken_file_shows_its_error_with_the_line(admin: Console) -> None:
    page = admin.open("deploy_dag").page
    page.locator("input[type=file]").set_input_files(
        {"name": "bad.py", "mimeType": "text/x-python", "buffer": BROKEN.encode()}
    )
    expect(page.locator(".file-name")).to_contain_text("bad.py")
    output = admin.send(dry=True)
    expect(output.get_by_role("alert")).to_contain_text("NameError: name 'nothing' is not defined")
    expect(output.locator(".import-error h3")).to_have_text(re.compile(r"bad\.py, line 4$"))


def test_an_error_is_shown_beside_its_field(admin: Console) -> None:
    page = admin.open("list_dags", limit=0).page
    admin.send()
    expect(page.locator(".has-error")).to_contain_text("greater than or equal to 1")
    expect(admin.field("limit")).to_be_focused()
    page.get_by_text("Raw response").click()
    expect(page.locator(".problem .raw")).to_contain_text('"status": 422')


def test_a_call_is_repeated_with_one_click(admin: Console) -> None:
    page = admin.open("list_pools").page
    admin.send()
    page.get_by_role("button", name="Repeat List pools").click()
    expect(page.locator(".history li")).to_have_count(2)


def test_a_viewer_is_offered_permitted_operations_only(viewer: Console) -> None:
    page = viewer.open().page
    expect(page.locator("#operations a[href='#list_dags']")).to_be_visible()
    for name in ("trigger_dag", "deploy_dag", "set_variable"):
        expect(page.locator(f"a[href='#{name}']")).to_have_count(0)
    viewer.open("trigger_dag")
    expect(page.get_by_role("alert")).to_contain_text("permission")
    expect(viewer.open("list_dags").send()).to_contain_text("two_tasks")


def test_search_finds_an_operation_by_its_old_name(admin: Console) -> None:
    page = admin.open().page
    page.get_by_label("Search operations").fill("task_failed")
    expect(page.locator("#operations a")).to_have_count(1)
    page.get_by_label("Search operations").fill("rest_api_plugin_version")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Plugin version")).to_be_visible()


def test_a_dag_id_can_be_unicode(admin: Console) -> None:
    dag_id = "größe.mit-strich__1"
    output = admin.open("dag_details", dag_id=dag_id).send()
    expect(output.locator(".badge").first).to_have_text("200 OK")
    expect(output).to_contain_text(dag_id)


def test_a_thousand_rows_stay_usable(admin: Console) -> None:
    page = admin.open("import_variables").page
    page.locator("textarea").first.fill(json.dumps({f"row_{number:04}": "<i>x</i>" for number in range(1000)}))
    expect(admin.send().locator(".badge").first).to_have_text(re.compile("20."))
    output = admin.open("list_variables", limit=1000).send()
    expect(output.locator("tbody tr")).to_have_count(100)
    output.get_by_role("button", name="Next").click()
    expect(output).to_contain_text("101 to 200 of 1,000 rows")
    expect(output).to_contain_text("<i>x</i>")


def test_a_log_of_5_mb_stays_usable(admin: Console) -> None:
    page = admin.open("list_task_instances", dag_id="noisy").page
    for _ in range(60):
        admin.send()
        if page.locator(".dot.success").count():
            break
        page.wait_for_timeout(2000)
    run_id = page.locator("tbody tr td").filter(has_text="manual__").first.inner_text()
    output = admin.open("task_log", dag_id="noisy", task_id="talk", run_id=run_id).send()
    # It comes in parts of 1 MiB.
    output.get_by_role("button", name="Load the whole log").click()
    expect(output.locator(".note")).to_have_count(0, timeout=120_000)
    expect(output.locator(".log-box").first).to_contain_text("the end of")
    output.get_by_role("button", name="Show all").click()
    assert len(output.locator("pre.log").inner_text()) > 5_000_000


def test_the_reference_shows_operations_and_tries_them(admin: Console) -> None:
    page = admin.page
    page.goto(f"{URL}/native_api/docs#post-/trigger_dag")
    expect(page.get_by_text("Trigger a DAG: create a DAG run").first).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{URL}/native_api/docs#get-/version")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_text("Response Status: OK:200")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{URL}/native_api/docs#post-/pause_dag")
    body = page.locator("textarea").first
    expect(body).to_be_visible()
    body.fill('{"dag_id": "others"}')
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_text("Response Status: OK:200")).to_be_visible()


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 390)])
def test_axe_reports_no_accessibility_problem(admin: Console, theme: str, width: int) -> None:
    page = admin.page
    page.set_viewport_size({"width": width, "height": 860})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    admin.open()
    page.evaluate("() => { localStorage.removeItem('theme'); localStorage.removeItem('darkTheme'); }")
    admin.open()
    assert page.locator("html").get_attribute("data-theme") == theme
    assert admin.violations() == []
    admin.open("backfill_dag", dag_id="dated", from_date="2024-02-02").page.get_by_text("More arguments").click()
    assert admin.violations() == []
    admin.send(dry=True)
    assert admin.violations() == []
    admin.output.get_by_role("button", name="Backfill DAG…").click()
    assert admin.violations() == []
    page.keyboard.press("Escape")
    admin.open("deploy_dag", path="bad.py")
    page.locator("textarea.code").fill(BROKEN)
    admin.send(dry=True)
    assert admin.violations() == []
    admin.open("list_dags").send()
    assert admin.violations() == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
