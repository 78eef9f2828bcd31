"""What belongs to the page of results and is tried by tests of their own: what it is, its file, its name."""

ELSEWHERE = {
    "the Prefect API cannot be reached when the command starts": (
        "tests/flows/test_collect_on_a_server.py",
        "test_without_its_server_it_collects_all_the_same",
    ),
    "the server is killed, and back 60 s later": (
        "tests/test_orchestration.py",
        "test_without_its_server_a_collector_goes_on",
    ),
    "the server is away at a hand-over": ("tests/test_orchestration.py", "test_a_hand_over_waits_for_the_server"),
    "a flow's process is killed, as by the kernel when memory runs out": (
        "tests/test_orchestration.py",
        "test_a_killed_collector_is_replaced",
    ),
    "one of two collectors is killed": ("tests/test_orchestration.py", "test_of_two_collectors_one_may_be_killed"),
    "worker and flow are killed together": (
        "tests/test_orchestration.py",
        "test_a_machine_that_starts_again_collects_again",
    ),
    "runs crash at once, again and again": (
        "tests/test_orchestration.py",
        "test_a_run_that_crashes_at_once_is_replaced_later_and_later",
    ),
    "the worker was away for six schedules": (
        "tests/test_orchestration.py",
        "test_after_an_absence_one_collects",
    ),
}

HOSTILE = {
    "any text as a frame of the stream": ("tests/test_events.py", "test_any_text_is_a_message_or_malformed"),
    "any text as a snapshot": ("tests/test_events.py", "test_any_body_is_an_anchor_or_malformed"),
    "any row in the store": ("tests/test_snapshot.py", "test_a_foreign_row_is_malformed"),
    "any text as a time": ("tests/test_times.py", "test_any_text_is_a_second_or_a_value_error_of_one_line"),
    "anything as options": ("tests/test_options.py", "test_anything_is_options_or_a_validation_error"),
    "any text as the beginning of a table": ("tests/test_tables.py", "test_any_text_is_a_beginning_or_malformed"),
    "a symbol in the store that means something in Markdown or HTML": (
        "tests/test_tables.py",
        "test_a_beginning_names_a_symbol_that_a_table_can_have",
    ),
    "a cause in the store that would end the report's script": (
        "tests/report/test_page.py",
        "test_a_cause_cannot_end_the_script",
    ),
    "a text that means something to Slack": (
        "tests/alerts/test_webhook.py",
        "test_nothing_in_the_text_means_anything_to_slack",
    ),
    "addresses for alerts that are neither http nor https": (
        "tests/alerts/test_outbound.py",
        "test_only_http_and_https_are_addresses",
    ),
    "a redirect of a webhook": ("tests/alerts/test_outbound.py", "test_a_redirect_is_not_followed"),
    "a redirect of a chat": ("tests/alerts/test_chat.py", "test_a_redirect_is_not_followed"),
    "a receiver that does not answer in time": (
        "tests/alerts/test_outbound.py",
        "test_an_answer_that_takes_too_long_is_not_waited_for",
    ),
}
