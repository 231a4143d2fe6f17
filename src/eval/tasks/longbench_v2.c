/* longbench_v2.c: LongBench v2. Its three sizes are tasks of their own: most of the third is beyond
 * any context that fits here. */
#include "eval/task.h"

static const char PROMPT[] =
    "Please read the following text and answer the question below.\n\n"
    "<text>\n{context}\n</text>\n\nWhat is the correct answer to this question: {input}\n\n"
    "Format your response as follows: \"The correct answer is (insert answer here)\".";

static const mn__task tasks[] = {
    {.name = "longbench_v2_short",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = PROMPT,
     .max_new = 128,
     .dir = "longctx/longbench_v2",
     .files = "short"},
    {.name = "longbench_v2_medium",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = PROMPT,
     .max_new = 128,
     .dir = "longctx/longbench_v2",
     .files = "medium"},
    {.name = "longbench_v2_long",
     .family = MN__FAMILY_QA,
     .metric = "choice_letter",
     .prompt = PROMPT,
     .max_new = 128,
     .dir = "longctx/longbench_v2",
     .files = "long"},
};

const mn__task_set mn__tasks_longbench_v2 = {
    .name = "longbench_v2",
    .about = "LongBench v2: multiple choice over contexts of 8k to 2M words",
    .source = "arXiv 2412.15204, github.com/THUDM/LongBench",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
