// SPDX-License-Identifier: GPL-2.0-or-later
int state;
__attribute__((noinline)) int step(int op)
{
	switch (op) {
	case 0: state += 3; break;
	case 1: state *= 5; break;
	case 2: state ^= 7; break;
	case 3: state -= 9; break;
	case 4: state <<= 2; break;
	case 5: state |= 64; break;
	case 6: state = ~state; break;
	default: return -2;
	}
	return state;
}
__attribute__((noinline)) double scale(double x) { return x * 3.5 + 0.125; }
int main(int argc, char **argv) { (void)argv; return step(argc) + (int)scale(argc); }
