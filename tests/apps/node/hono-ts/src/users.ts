import { z } from 'zod';

export const newUser = z.object({
  name: z.string().min(2),
  email: z.string().email(),
});

export type User = z.infer<typeof newUser> & { roles: string[] };
