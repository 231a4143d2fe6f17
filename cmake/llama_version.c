/* llama_version.c: prints the version of a libllama that the builder points to. */
#include <stdio.h>
#include "llama.h"

int main(void)
{
    return fputs(llama_version(), stdout) < 0;
}
