/* qmsum_test.c: more queries of QMSum, which LongBench took a part of. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "qmsum_test",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l",
     .prompt = "You are given a meeting transcript and a query containing a question or "
               "instruction. Answer the query in one or more sentences.\n\n"
               "Transcript:\n{context}\n\nNow, answer the query based on the above meeting "
               "transcript in one or more sentences.\n\n"
               "Query: {input}\nAnswer:",
     .max_new = 512,
     .dir = "longctx/qmsum",
     .files = "qmsum_test",
     .dataset = "qmsum"},
};

const mn__task_set mn__tasks_qmsum_test = {
    .name = "qmsum_test",
    .about = "QMSum: queries on whole meetings, from its test split",
    .source = "arXiv 2104.05938, github.com/Yale-LILY/QMSum",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
