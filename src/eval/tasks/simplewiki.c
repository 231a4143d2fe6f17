/* simplewiki.c: LongBench's two passage tasks over articles of the Simple English Wikipedia. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "simplewiki_retrieval",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "retrieval",
     .prompt = "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine "
               "which paragraph the abstract is from.\n\n"
               "{context}\n\nThe following is an abstract.\n\n"
               "{input}\n\nPlease enter the number of the paragraph that the abstract is from. The "
               "answer format must be like \"Paragraph 1\", \"Paragraph 2\", etc.\n\n"
               "The answer is: ",
     .max_new = 32,
     .dir = "longctx/passage_simplewiki",
     .files = "passage_retrieval_en",
     .dataset = "passage_retrieval_en"},
    {.name = "simplewiki_count",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "count",
     .prompt = "There are some paragraphs below sourced from Wikipedia. Some of them may be "
               "duplicates. Please carefully read these paragraphs and determine how many unique "
               "paragraphs there are after removing duplicates. In other words, how many "
               "non-repeating paragraphs are there in total?\n\n"
               "{context}\n\nPlease enter the final count of unique paragraphs after removing "
               "duplicates. The output format should only contain the number, such as 1, 2, 3, and "
               "so on.\n\nThe final answer is: ",
     .max_new = 32,
     .dir = "longctx/passage_simplewiki",
     .files = "passage_count",
     .dataset = "passage_count"},
};

const mn__task_set mn__tasks_simplewiki = {
    .name = "simplewiki",
    .about = "Passage retrieval and counting over Simple English Wikipedia",
    .source = "recipe of arXiv 2308.14508; text: simple.wikipedia.org",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
