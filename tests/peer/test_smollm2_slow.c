/* test_smollm2_slow.c: SmolLM2-135M-Instruct against llama_decode. */
#include "agree.h"

int main(void)
{
    return agree_main("smollm2", true);
}
