// The server and the directory under test, and the few things every suite needs of them.
//
// Addresses come from the environment, set by `cargo xtask test`:
//   PDS_URL         the server, for example http://localhost:2583
//   PLC_URL         the did:plc directory it uses
//   ADMIN_PASSWORD  the server's admin password
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { AtpAgent } from '@atproto/api'
import { Client as PlcClient, validateOperationLog } from '@did-plc/lib'

export const pdsUrl = required('PDS_URL').replace(/\/$/, '')
export const plcUrl = required('PLC_URL').replace(/\/$/, '')
export const adminPassword = required('ADMIN_PASSWORD')

export const plc = new PlcClient(plcUrl)
export const password = 'correct horse battery'

// An agent without a session. Retries nothing and hides nothing.
export const agent = (options = {}) => new AtpAgent({ service: pdsUrl, ...options })

// A name nobody has: three letters for the suite, the rest random.
export const freshName = (prefix) => `${prefix}${randomBytes(5).toString('hex')}`

// What a sign-up needs when nothing about it matters.
export function freshAccount(prefix = 'acc') {
  const name = freshName(prefix)
  return { handle: `${name}.test`, email: `${name}@mail.com`, password }
}

// Signs up and returns the agent that holds the session.
export async function signUp(input = freshAccount()) {
  const client = agent()
  await client.createAccount(input)
  return client
}

// A plain call, for what no client has a method for.
export async function call(method, nsid, { body, params, headers = {} } = {}) {
  const query = params ? `?${new URLSearchParams(params)}` : ''
  const response = await fetch(`${pdsUrl}/xrpc/${nsid}${query}`, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined }
}

export const bearer = (token) => ({ authorization: `Bearer ${token}` })
export const admin = () => ({
  authorization: `Basic ${Buffer.from(`admin:${adminPassword}`).toString('base64')}`,
})

// Asks the directory for the operations of a DID and lets the did:plc library judge them.
export async function judgeAuditLog(did) {
  const entries = await plc.getAuditableLog(did)
  assert.ok(entries.length > 0, `${did} has no audit log`)
  for (const entry of entries) assert.equal(entry.did, did)
  const kept = entries.filter((entry) => !entry.nullified).map((entry) => entry.operation)
  const data = await validateOperationLog(did, kept)
  return { entries, data }
}

// Waits for the newest letter to an address, of one subject if it is said, where a development server shows its mail, and
// gives the code in it.
export async function mailedCode(address, { subject, serverUrl = pdsUrl } = {}) {
  for (let tries = 0; tries < 300; tries += 1) {
    const { messages } = await (await fetch(`${serverUrl}/dev/mail?format=json`)).json()
    const letter = messages.find((message) => message.to === address && (!subject || message.subject === subject))
    const code = letter?.text.match(/[A-Z2-7]{5}-[A-Z2-7]{5}/)?.[0]
    if (code) return code
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`no letter ${subject ?? ''} to ${address} came`)
}

// Refusals carry the status and the name of the error; the message is for people.
export async function refused(promise, status, name) {
  const error = await promise.then(
    (value) => assert.fail(`answered instead of refusing with ${name}: ${JSON.stringify(value?.data ?? value)}`),
    (error) => error,
  )
  assert.equal(error.error, name, `expected ${name}, got ${error.error}: ${error.message}`)
  assert.equal(error.status, status)
  return error
}

function required(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run this through \`cargo xtask test\``)
  return value
}
