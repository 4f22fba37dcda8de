/** Whether a table has an entry of that name, whatever it is that is asked for: a list with a symbol cannot be made a name. */
export const isKeyOf = <Table extends object>(table: Table, key: unknown): key is keyof Table =>
  typeof key === 'string' && Object.hasOwn(table, key);
