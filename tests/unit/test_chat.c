/* test_chat.c: conversations through templates: the model's, a named one, none, unknown ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "gguf.h"
#include "text/chat.h"
#include "abc_vocab.h"

static const mn_chat_message talk[] = {
    {"system", "Be brief."},
    {"user", "Who are you?"},
    {"assistant", "A test."},
    {"user", "Again?"},
};

static mn__vocab *open_with(const char *template_text)
{
    struct gguf_context *meta = abc_vocab_meta();
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    if (template_text != NULL) gguf_set_val_str(meta, "tokenizer.chat_template", template_text);
    if (mn__vocab_open(&v, meta, &diag) != MN_OK) fail_msg("%s", diag.text);
    gguf_free(meta);
    return v;
}

static void expect_text(const mn__vocab *v, const mn_chat *chat, const char *want)
{
    char buf[1024];
    mn_diag diag = {""};
    mn_text_buf out = {.data = NULL, .cap = 0};
    if (mn__chat_format(v, chat, &out, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(out.n, strlen(want));
    memset(buf, 0x55, sizeof buf);
    out = (mn_text_buf){.data = buf, .cap = out.n}; /* exactly enough */
    assert_int_equal(mn__chat_format(v, chat, &out, &diag), MN_OK);
    assert_memory_equal(buf, want, out.n);
    assert_int_equal(buf[out.n], 0x55);
}

static const char chatml[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

static void test_model_template(void **state)
{
    mn__vocab *v = open_with(chatml);
    const mn_chat whole = {.messages = talk, .n_message = 4, .open_answer = true};
    const mn_chat one = {.messages = talk + 1, .n_message = 1};
    (void)state;
    assert_string_equal(mn__vocab_chat_template(v), chatml);
    expect_text(v, &whole,
                "<|im_start|>system\nBe brief.<|im_end|>\n"
                "<|im_start|>user\nWho are you?<|im_end|>\n"
                "<|im_start|>assistant\nA test.<|im_end|>\n"
                "<|im_start|>user\nAgain?<|im_end|>\n<|im_start|>assistant\n");
    expect_text(v, &one, "<|im_start|>user\nWho are you?<|im_end|>\n");
    mn__vocab_close(v);
}

/* What text.h says about default system messages: this template would write one, the known form
 * does not. */
static void test_default_system_message_is_not_written(void **state)
{
    mn__vocab *v = open_with("{% for m in messages %}"
                             "{% if loop.first and messages[0]['role'] != 'system' %}"
                             "<|im_start|>system\nYou are helpful<|im_end|>\n{% endif %}"
                             "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}");
    const mn_chat one = {.messages = talk + 1, .n_message = 1, .open_answer = true};
    (void)state;
    expect_text(v, &one, "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n");
    mn__vocab_close(v);
}

static void test_named_template(void **state)
{
    mn__vocab *v = open_with(chatml);
    const mn_chat chat = {
        .messages = talk + 1, .n_message = 1, .template_name = "gemma", .open_answer = true};
    (void)state;
    expect_text(v, &chat, "<start_of_turn>user\nWho are you?<end_of_turn>\n<start_of_turn>model\n");
    mn__vocab_close(v);
}

static void test_no_template(void **state)
{
    mn__vocab *v = open_with(NULL);
    const mn_chat one = {.messages = talk + 1, .n_message = 1, .open_answer = true};
    const mn_chat two = {.messages = talk, .n_message = 2};
    (void)state;
    assert_null(mn__vocab_chat_template(v));
    expect_text(v, &one, "Who are you?");
    expect_text(v, &two, "Be brief.\n\nWho are you?");
    mn__vocab_close(v);
}

static void test_short_buffer(void **state)
{
    mn__vocab *plain = open_with(NULL), *v = open_with(chatml);
    const mn_chat two = {.messages = talk, .n_message = 2};
    char buf[8];
    mn_diag diag = {""};
    mn_text_buf out = {.data = buf, .cap = 4};
    (void)state;
    memset(buf, 0x55, sizeof buf);
    assert_int_equal(mn__chat_format(plain, &two, &out, &diag), MN_OK);
    assert_int_equal(out.n, strlen("Be brief.\n\nWho are you?"));
    assert_int_equal(buf[4], 0x55);
    assert_int_equal(mn__chat_format(v, &two, &out, &diag), MN_OK);
    assert_true(out.n > 50);
    assert_int_equal(buf[4], 0x55);
    mn__vocab_close(plain);
    mn__vocab_close(v);
}

static void test_unknown(void **state)
{
    mn__vocab *v = open_with("{{ something('of its own') }}");
    mn_chat chat = {.messages = talk, .n_message = 2};
    mn_diag diag = {""};
    mn_text_buf out = {.data = NULL, .cap = 0};
    (void)state;
    assert_int_equal(mn__chat_format(v, &chat, &out, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "--chat-template"));
    assert_non_null(strstr(diag.text, "chatml"));
    assert_non_null(strstr(diag.text, "llama3"));
    chat.template_name = "chatlm";
    assert_int_equal(mn__chat_format(v, &chat, &out, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "\"chatlm\" is none of"));
    chat.template_name = "chatml";
    assert_int_equal(mn__chat_format(v, &chat, &out, &diag), MN_OK);
    mn__vocab_close(v);
}

static void test_bad_messages(void **state)
{
    mn__vocab *v = open_with(chatml);
    static const mn_chat_message bad[] = {{"user", "x"}, {"user", NULL}, {NULL, "x"}, {"", "x"}};
    mn_diag diag = {""};
    mn_text_buf out = {.data = NULL, .cap = 0};
    mn_chat chat = {.messages = bad, .n_message = 0};
    (void)state;
    assert_int_equal(mn__chat_format(v, &chat, &out, &diag), MN_EUSAGE);
    chat.n_message = 2;
    assert_int_equal(mn__chat_format(v, &chat, &out, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "message 1"));
    for (size_t i = 2; i < 4; i++) {
        const mn_chat one = {.messages = bad + i, .n_message = 1};
        assert_int_equal(mn__chat_format(v, &one, &out, &diag), MN_EUSAGE);
    }
    mn__vocab_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_template),
        cmocka_unit_test(test_default_system_message_is_not_written),
        cmocka_unit_test(test_named_template),
        cmocka_unit_test(test_no_template),
        cmocka_unit_test(test_short_buffer),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_bad_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
