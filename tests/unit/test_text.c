/* test_text.c: text to tokens and back through an open model, and its chat template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mneme/text.h"
#include "model/model.h"
#include "tiny_model.h"

static mn_model *must_open(const tiny_model_params *tp, const mn_model_params *mp)
{
    const char *path = tiny_model_path("text.gguf");
    mn_model *m = NULL;
    mn_diag diag = {""};
    assert_true(tiny_model_write(path, tp));
    if (mn_model_open(&m, path, mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    remove(path);
    return m;
}

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        tiny_model_params tp;
        mn_diag diag;
        int32_t token[64];
        char text[64] = "", chat[128];
        size_t at = 0;
        mn_token_buf tokens = {.data = token, .cap = 64};
        const mn_chat_message message = {"user", "an hat"};
        const mn_chat talk = {.messages = &message, .n_message = 1, .open_answer = true};
        mn_text_buf out = {.data = chat, .cap = sizeof chat - 1};
        tiny_model_default(&tp, i ? "qwen2" : "llama");
        mn_model *m = must_open(&tp, NULL);
        assert_int_equal(mn_tokenize(m, "the hat & tea", 13, 0, &tokens, &diag), MN_OK);
        for (size_t t = 0; t < tokens.n; t++) {
            mn_text_buf piece = {.data = text + at, .cap = sizeof text - at};
            assert_int_equal(mn_token_text(m, token[t], false, &piece, &diag), MN_OK);
            at += piece.n;
        }
        assert_true(memcmp(text + at - 13, "the hat & tea", 13) ==
                    0); /* SentencePiece puts a space in front */
        assert_true(mn_token_is_end(m, i ? (int32_t)m->n_vocab - 1 : 2));
        assert_false(mn_token_is_end(m, 5));
        assert_int_equal(mn_chat_format(m, &talk, &out, &diag), MN_OK);
        chat[out.n] = 0;
        assert_string_equal(chat, "<|im_start|>user\nan hat<|im_end|>\n<|im_start|>assistant\n");
        mn_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
