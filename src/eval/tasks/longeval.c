/* longeval.c: LongEval's lines and topics; lines are also made at any length. */
#include <stdio.h>

#include "eval/maker.h"

/* A register of lines, whose names are pairs of words as the published ones. */
static mn_status write_lines(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    enum { STREAM_VALUE = MN__STREAM_OWN, MAX_VALUE = 50000 };
    char name[MN__PAIR_BYTES], value[16];
    size_t gold;
    (void)diag;
    mn__place_at(mn__depth(r), n - 1, &gold);
    mn__draft_str(&out->context,
                  "Below is a record of lines I want you to remember. Each line begins with 'line "
                  "<line index>' and contains a '<REGISTER_CONTENT>' at the end of the line as a "
                  "numerical value. For each line index, memorize its corresponding "
                  "<REGISTER_CONTENT>. At the end of the record, I will ask you to retrieve the "
                  "corresponding <REGISTER_CONTENT> of a certain line index. Now the record "
                  "start:\n\n");
    for (size_t i = 0; i < n; i++) {
        mn__draw_pair(r, mn__around(i, gold), name);
        unsigned content =
            (unsigned)mn__draw_below(r, STREAM_VALUE, mn__around(i, gold), MAX_VALUE) + 1;
        mn__draft_fmt(&out->context, "line %s: REGISTER_CONTENT is <%u>\n", name, content);
        if (i != gold) continue;
        snprintf(value, sizeof value, "%u", content);
        mn__made_answer(out, value);
        mn__draft_fmt(&out->input,
                      "Now the record is over. Tell me what is the <REGISTER_CONTENT> in line %s? "
                      "I need the number. ",
                      name);
    }
    out->depth = n > 1 ? (double)gold / (double)(n - 1) : 0;
    return MN_OK;
}

static size_t most_lines(const mn__recipe *r)
{
    (void)r;
    return MN__N_PAIR;
}

static const mn__maker maker = {
    .has_depth = true, .n_least = 1, .n_most = most_lines, .write = write_lines};

static const mn__task tasks[] = {
    {.name = "longeval_lines",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains",
     .prompt = "{context}\n{input}",
     .max_new = 24,
     .dir = "longctx/longeval",
     .files = "lines",
     .dataset = "longeval_lines_*",
     .maker = &maker},
    {.name = "longeval_topics",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains",
     .prompt = "{context}\n{input}",
     .max_new = 32,
     .dir = "longctx/longeval",
     .files = "topics",
     .dataset = "longeval_topics_*"},
};

const mn__task_set mn__tasks_longeval = {
    .name = "longeval",
    .about =
        "LongEval: a register's content by the name of its line, and the first topic of a talk",
    .source = "lmsys.org/blog/2023-06-29-longchat, github.com/DachengLi1/LongChat",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
