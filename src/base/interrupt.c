#include "base/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t caught, taken;
static _Thread_local const atomic_bool *thread_given_up;

static void
on_signal(int sig)
{
	caught = sig;
}

void
sw_interrupt_catch(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

int
sw_interrupt_signal(void)
{
	if (caught == 0 && thread_given_up != NULL && atomic_load(thread_given_up))
		return SIGTERM;
	return caught;
}

void
sw_interrupt_request(void)
{
	if (caught == 0)
		caught = SIGTERM;
}

void
sw_interrupt_take(void)
{
	if (caught != 0)
		taken = caught;
	caught = 0;
}

sw_rc
sw_interrupt_check(struct sw_error *err)
{
	if (caught != 0)
		return sw_fail(err, SW_SYSTEM, "stopped by SIG%s", sigabbrev_np(caught));
	return sw_interrupt_signal() == 0 ? SW_OK : sw_fail(err, SW_SYSTEM, "given up, it took too long");
}

void
sw_interrupt_thread(const atomic_bool *given_up)
{
	thread_given_up = given_up;
}

void
sw_interrupt_die(void)
{
	sw_interrupt_take();
	if (taken == 0)
		return;
	signal(taken, SIG_DFL);
	raise(taken);
}
