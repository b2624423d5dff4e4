import { initTRPC, TRPCError } from '@trpc/server';
import { createHTTPServer } from '@trpc/server/adapters/standalone';
import { z } from 'zod';

const t = initTRPC.context<{ user: string | undefined }>().create();
const users = [{ id: 1, name: 'Ada' }];

const appRouter = t.router({
  hello: t.procedure.input(z.string()).query(({ input }) => `Hello, ${input}`),
  users: t.router({
    list: t.procedure.query(() => users),
    create: t.procedure.input(z.object({ name: z.string().min(2) })).mutation(({ input }) => {
      const user = { id: users.length + 1, ...input };
      users.push(user);
      return user;
    }),
  }),
  secret: t.procedure.query(({ ctx }) => {
    if (!ctx.user) throw new TRPCError({ code: 'UNAUTHORIZED', message: 'who are you?' });
    return { for: ctx.user };
  }),
  count: t.procedure.input(z.number()).subscription(async function* ({ input }) {
    for (let i = 1; i <= input; i++) yield i;
  }),
});

export type AppRouter = typeof appRouter;

createHTTPServer({
  router: appRouter,
  createContext: ({ req }) => ({ user: req.headers['x-user'] as string | undefined }),
}).listen(Number(process.env.PORT ?? 3000));
