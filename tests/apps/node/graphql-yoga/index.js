import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';

const books = [{ id: '1', title: 'Dune', author: 'Herbert' }];

const yoga = createYoga({
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      type Book {
        id: ID!
        title: String!
        author: String!
      }
      type Query {
        hello(name: String = "world"): String!
        books: [Book!]!
      }
      type Mutation {
        addBook(title: String!, author: String!): Book!
      }
      type Subscription {
        countdown(from: Int!): Int!
      }
    `,
    resolvers: {
      Query: { hello: (_, { name }) => `Hello, ${name}`, books: () => books },
      Mutation: {
        addBook(_, book) {
          const added = { id: String(books.length + 1), ...book };
          books.push(added);
          return added;
        },
      },
      Subscription: {
        countdown: {
          async *subscribe(_, { from }) {
            for (let i = from; i >= 0; i--) {
              await new Promise((resolve) => setTimeout(resolve, 5));
              yield { countdown: i };
            }
          },
        },
      },
    },
  }),
});

createServer(yoga).listen(process.env.PORT ?? 4000);
